//! What a source reads where the broker decides: each scenario runs on the embedded broker and on Apache Kafka 4.3.1,
//! so that the two can't differ in anything the other tests build on.
//!
//! Scenarios are named after the behaviours of Spark that they prove (`docs/spark-behaviours.md`).

mod batches;
#[path = "../common/mod.rs"]
mod common;
mod direct;
mod ground;
mod losses;
mod times;
mod topics;
mod transactions;

/// Makes two tests of each scenario.
macro_rules! everywhere {
    ($($file:ident: $($scenario:ident),+;)+) => {
        mod embedded {
            $($(#[test]
            fn $scenario() {
                crate::ground::on_embedded(crate::$file::$scenario);
            })+)+
        }
        mod apache {
            $($(#[test]
            fn $scenario() {
                crate::ground::on_apache(crate::$file::$scenario);
            })+)+
        }
    };
}

everywhere! {
    batches:
        b039_b050_a_plan_that_is_read_again_sees_new_records_but_keeps_explicit_ends,
        b047_a_start_above_the_end_that_a_time_stands_for_is_refused,
        b085_a_stream_starts_in_each_partition_where_it_is_told,
        b093_b112_b113_a_limit_is_shared_by_what_waits_in_each_partition,
        b097_b098_a_run_over_what_is_available_does_not_see_what_comes_meanwhile,
        b103_b125_one_batch_with_all_there_is_knows_no_limit,
        b118_a_new_partition_waits_with_what_it_still_has,
        b191_as_many_batches_stay_in_the_logs_as_the_option_says;
    direct:
        b236_a_stream_starts_where_it_is_told_and_else_at_the_earliest,
        b237_a_pattern_selects_topics_by_their_whole_name,
        b238_latest_gives_only_what_is_new_and_an_explicit_start_needs_no_reset,
        b239_a_state_comes_before_given_starts_committed_offsets_and_the_reset,
        b249_new_partitions_join_and_lost_ones_are_an_error,
        b253_ranges_are_counted_taken_and_collected,
        b255_b256_a_compacted_topic_is_read_where_offsets_may_be_missing,
        b256_a_range_that_ends_in_a_marker_needs_the_flag_too,
        b257_a_range_gives_exactly_its_offsets_whatever_arrives,
        b258_a_range_that_ends_before_it_starts_is_refused;
    losses:
        b053_what_expired_is_an_error_or_is_left_out,
        b127_b133_what_is_gone_fails_the_query_and_names_the_range,
        b132_a_start_beyond_the_end_is_a_changed_offset,
        b134_b135_what_went_between_plan_and_reading_is_skipped_or_an_error,
        b136_what_vanished_and_is_there_again_is_read,
        b139_b142_a_head_that_expires_while_it_is_read_is_left_out_and_nothing_comes_twice,
        b141_an_end_that_does_not_come_is_a_loss_once_the_time_is_over,
        b143_a_topic_that_is_deleted_before_it_is_read_is_a_loss,
        b143_b268_a_running_query_notices_that_a_topic_was_made_anew;
    times:
        b009_b011_who_sets_the_time_is_told_and_found_by,
        b022_b025_b026_timestamps_find_the_first_record_at_or_after,
        b022_b155_a_timestamp_may_find_a_marker,
        b023_a_start_without_a_match_is_refused_or_is_the_end,
        b024_a_partition_without_a_match_starts_at_its_end_if_so_asked,
        b029_the_protocols_own_numbers_pass_as_timestamps,
        b030_b265_an_offset_is_the_one_to_read_next,
        b031_b159_the_latest_offset_is_the_last_stable_one_if_only_committed_records_count,
        b040_the_earliest_offset_is_that_of_the_reading,
        b083_a_stream_reads_what_comes_after_its_start;
    topics:
        b034_only_partitions_that_exist_are_assigned,
        b035_b036_kafkas_own_topics_are_never_read_not_even_by_name_or_pattern,
        b036_a_pattern_is_found_anywhere_in_a_name_unless_it_is_anchored,
        b037_an_unknown_topic_is_an_error_and_is_not_made,
        b038_a_pattern_without_topics_waits_for_them,
        b086_partitions_added_to_a_running_query_are_read_from_their_beginning,
        b087_b130_a_vanished_topic_is_told_or_dropped_and_a_new_one_read,
        b088_without_any_topic_left_nothing_is_planned,
        b089_b131_a_topic_made_anew_with_fewer_records_is_noticed_or_its_end_believed,
        b099_a_run_over_what_is_available_fails_when_partitions_vanish,
        b100_a_run_over_what_is_available_fails_when_a_partition_becomes_shorter,
        b109_an_added_topic_starts_at_its_beginning_and_a_removed_one_is_told,
        b110_b111_no_group_is_ever_made,
        b128_an_added_partition_that_lost_its_head_is_a_loss,
        b129_a_partition_that_vanished_has_no_first_offset,
        b143_b144_topics_that_come_and_go_never_fail_a_forgiving_query,
        b268_a_topic_made_anew_with_more_records_is_not_noticed;
    transactions:
        b092_b147_a_marker_takes_an_offset_and_is_no_row,
        b126_limits_count_offsets_and_not_rows,
        b138_gaps_of_the_cleaner_are_no_loss,
        b140_records_of_a_batch_outside_of_the_range_are_left_out,
        b148_b149_b150_b151_only_committed_records_come_and_offsets_go_on_beyond_the_others,
        b152_uncommitted_records_come_too_but_never_markers,
        b153_b154_a_batch_reads_what_counts_by_then,
        b155_a_range_whose_first_or_last_offset_is_invisible_loses_no_neighbour,
        b156_what_was_fetched_beyond_a_batch_comes_in_the_next_and_only_there,
        b158_nulls_inside_of_transactions_come_as_nulls;
}
