package klamm;

import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.util.HashSet;
import java.util.Set;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.utils.BufferSupplier;
import org.apache.kafka.common.utils.ByteBufferOutputStream;

/** Record sets, written and read by the classes that the Java client and broker use. */
final class RecordSets {
    private RecordSets() {}

    /** Writes one batch as described. */
    static void build(Question question, Answer answer) throws Exception {
        byte magic = question.int8();
        CompressionType codec = CompressionType.forId(question.int8());
        TimestampType timestampType = TimestampType.forName(question.bool() ? "LogAppendTime" : "CreateTime");
        long baseOffset = question.int64();
        long logAppendTime = question.int64();
        long producerId = question.int64();
        short producerEpoch = question.int16();
        int baseSequence = question.int32();
        boolean transactional = question.bool();
        int marker = question.int8();
        int coordinatorEpoch = question.int32();
        int leaderEpoch = question.int32();
        ByteBufferOutputStream out = new ByteBufferOutputStream(1 << 16);
        MemoryRecordsBuilder builder = new MemoryRecordsBuilder(out, magic, Compression.of(codec).build(),
            timestampType, baseOffset, logAppendTime, producerId, producerEpoch, baseSequence,
            transactional, marker >= 0, leaderEpoch, Integer.MAX_VALUE);
        int count = question.int32();
        for (int i = 0; i < count; i++) {
            long offset = question.int64();
            long timestamp = question.int64();
            builder.appendWithOffset(offset, timestamp, question.bytes(), question.bytes(), headers(question));
        }
        if (marker >= 0) {
            ControlRecordType type = ControlRecordType.fromTypeId((short) marker);
            builder.appendEndTxnMarker(question.int64(), new EndTransactionMarker(type, coordinatorEpoch));
        }
        answer.bytes(builder.build().buffer());
    }

    private static Header[] headers(Question question) {
        Header[] headers = new Header[question.int32()];
        for (int i = 0; i < headers.length; i++) {
            headers[i] = new RecordHeader(question.string(), question.bytes());
        }
        return headers;
    }

    /** Checks every batch of a record set and lists all that is in it. */
    static void dump(Question question, Answer answer) throws Exception {
        MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(question.bytes()));
        answer.int32(records.validBytes());
        for (RecordBatch batch : records.batches()) {
            batch.ensureValid();
            answer.bool(true);
            answer.int8(batch.magic());
            answer.int8(batch.compressionType().id);
            answer.bool(batch.timestampType() == TimestampType.LOG_APPEND_TIME);
            answer.int64(batch.baseOffset());
            answer.int64(batch.lastOffset());
            answer.int32(batch.partitionLeaderEpoch());
            answer.int64(batch.producerId());
            answer.int16(batch.producerEpoch());
            answer.int32(batch.baseSequence());
            answer.int32(batch.lastSequence());
            answer.bool(batch.isTransactional());
            answer.bool(batch.isControlBatch());
            answer.int64(batch.maxTimestamp());
            answer.int32(batch.sizeInBytes());
            for (Record record : batch) {
                answer.bool(true);
                dump(batch, record, answer);
            }
            answer.bool(false);
        }
        answer.bool(false);
    }

    private static void dump(RecordBatch batch, Record record, Answer answer) throws Exception {
        answer.int64(record.offset());
        answer.int64(record.timestamp());
        answer.int32(record.sequence());
        answer.bytes(record.key());
        answer.bytes(record.value());
        answer.int32(record.headers().length);
        for (Header header : record.headers()) {
            answer.string(header.key());
            answer.bytes(header.value());
        }
        if (batch.isControlBatch()) {
            EndTransactionMarker marker = EndTransactionMarker.deserialize(record);
            answer.int8(marker.controlType() == ControlRecordType.COMMIT ? 1 : 0);
            answer.int32(marker.coordinatorEpoch());
        }
    }

    /** Leaves records out as the log cleaner does, so that their offsets become gaps. */
    static void filter(Question question, Answer answer) throws Exception {
        MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(question.bytes()));
        boolean keepEmptied = question.bool();
        Set<Long> dropped = new HashSet<>();
        int count = question.int32();
        for (int i = 0; i < count; i++) {
            dropped.add(question.int64());
        }
        MemoryRecords.RecordFilter filter = new MemoryRecords.RecordFilter(1_700_000_000_000L, 86_400_000L) {
            @Override
            protected BatchRetentionResult checkBatchRetention(RecordBatch batch) {
                BatchRetention retention =
                    keepEmptied ? BatchRetention.RETAIN_EMPTY : BatchRetention.DELETE_EMPTY;
                return new BatchRetentionResult(retention, false);
            }

            @Override
            protected boolean shouldRetainRecord(RecordBatch batch, Record record) {
                return !dropped.contains(record.offset());
            }
        };
        ByteBuffer target = ByteBuffer.allocate(records.sizeInBytes() * 2 + 1024);
        MemoryRecords.FilterResult result = filterTo(records, filter, target);
        ByteBuffer output = result.outputBuffer().duplicate();
        output.flip();
        answer.bytes(output);
    }

    /** The method lost two parameters between 3.9 and 4.0. */
    private static MemoryRecords.FilterResult filterTo(
        MemoryRecords records, MemoryRecords.RecordFilter filter, ByteBuffer target) throws Exception {
        for (Method method : MemoryRecords.class.getMethods()) {
            if (method.getName().equals("filterTo") && method.getParameterCount() == 3) {
                return (MemoryRecords.FilterResult)
                    method.invoke(records, filter, target, BufferSupplier.NO_CACHING);
            }
            if (method.getName().equals("filterTo") && method.getParameterCount() == 5) {
                return (MemoryRecords.FilterResult) method.invoke(records, new TopicPartition("t", 0),
                    filter, target, Integer.MAX_VALUE, BufferSupplier.NO_CACHING);
            }
        }
        throw new IllegalStateException("MemoryRecords has no filterTo that is known here");
    }
}
