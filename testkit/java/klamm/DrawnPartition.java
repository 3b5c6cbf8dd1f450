package org.apache.kafka.clients.producer.internals;

import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.utils.LogContext;

/**
 * The producer's built-in partitioner with a random number of ours. It stands in Kafka's package
 * because what it replaces and asks is not open to others, and does not fit every version of Kafka.
 */
public final class DrawnPartition extends BuiltInPartitioner {
    private final int random;

    private DrawnPartition(int random) {
        super(new LogContext(), "topic", 16384);
        this.random = random;
    }

    /**
     * The partition of the topic {@code topic} that is chosen for a random number.
     *
     * @param queues how many batches wait for each partition, or null not to adapt to them; the
     *     first {@code count} of {@code partitions} have a leader that keeps up
     */
    public static int of(int random, int[] queues, int[] partitions, int count, Cluster cluster) {
        DrawnPartition partitioner = new DrawnPartition(random);
        partitioner.updatePartitionLoadStats(queues, partitions, count);
        return partitioner.peekCurrentPartitionInfo(cluster).partition();
    }

    @Override
    int randomPartition() {
        return random;
    }
}
