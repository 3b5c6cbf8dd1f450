import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Java's client on the bench. In: a task, as `bench/README.md` says it; out: a line with what was done, then it waits for the end
 * of its input, so that others can look at what this process took.
 */
public final class Peer {
    private static final int PARTITIONS = 4;
    private static final int VALUE_LENGTH = 100;
    private static final int WARM_UP = 500;

    private final String bootstrap;
    private final String topic;
    private final String codec;
    private final int count;
    private final byte[][] values;

    private Peer(String[] task) throws IOException {
        bootstrap = task[2];
        topic = task[3];
        codec = task[4];
        count = Integer.parseInt(task[5]);
        byte[] pool = Files.readAllBytes(Path.of(System.getenv("KLAMM_BENCH_VALUES")));
        values = new byte[pool.length / VALUE_LENGTH][];
        Arrays.setAll(values, i -> Arrays.copyOfRange(pool, i * VALUE_LENGTH, (i + 1) * VALUE_LENGTH));
    }

    public static void main(String[] task) throws Exception {
        Peer peer = new Peer(task);
        switch (task[0]) {
            case "produce" -> peer.produce();
            case "consume" -> peer.consume();
            case "ping" -> peer.ping();
            case "echo" -> peer.echo();
            default -> throw new IllegalArgumentException(task[0]);
        }
        // The clients' own threads would keep this process alive.
        System.exit(0);
    }

    private void produce() throws Exception {
        AtomicReference<Exception> failure = new AtomicReference<>();
        Callback callback = (metadata, exception) -> {
            if (exception != null) {
                failure.set(exception);
            }
        };
        KafkaProducer<byte[], byte[]> producer = producer(Map.of("linger.ms", "5", "batch.size", "262144"));
        for (int i = 0; i < count; i++) {
            producer.send(record(i), callback);
        }
        producer.flush();
        if (failure.get() != null) {
            throw failure.get();
        }
        report(count, (long) count * VALUE_LENGTH, new long[0]);
    }

    private void consume() throws Exception {
        KafkaConsumer<byte[], byte[]> consumer = consumer();
        long records = 0;
        long bytes = 0;
        while (records < count) {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                records++;
                bytes += record.value().length;
            }
        }
        report(records, bytes, new long[0]);
    }

    private void ping() throws Exception {
        KafkaProducer<byte[], byte[]> producer = producer(Map.of("linger.ms", "0"));
        long[] took = new long[count];
        for (int i = -WARM_UP; i < count; i++) {
            long start = System.nanoTime();
            producer.send(record(i)).get();
            if (i >= 0) {
                took[i] = System.nanoTime() - start;
            }
        }
        report(count, 0, took);
    }

    private void echo() throws Exception {
        KafkaProducer<byte[], byte[]> producer = producer(Map.of("linger.ms", "0"));
        KafkaConsumer<byte[], byte[]> consumer = consumer();
        long[] took = new long[count];
        for (int i = -WARM_UP; i < count; i++) {
            long start = System.nanoTime();
            var sent = producer.send(record(i));
            while (consumer.poll(Duration.ofSeconds(1)).isEmpty()) {
            }
            if (i >= 0) {
                took[i] = System.nanoTime() - start;
            }
            sent.get();
        }
        report(count, 0, took);
    }

    private ProducerRecord<byte[], byte[]> record(int i) {
        byte[] key = ByteBuffer.allocate(Long.BYTES).putLong(i).array();
        return new ProducerRecord<>(topic, key, values[Math.floorMod(i, values.length)]);
    }

    private KafkaProducer<byte[], byte[]> producer(Map<String, Object> settings) {
        Map<String, Object> all = new java.util.HashMap<>(settings);
        all.put("bootstrap.servers", bootstrap);
        all.put("acks", "all");
        all.put("enable.idempotence", "true");
        all.put("compression.type", codec);
        return new KafkaProducer<>(all, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private KafkaConsumer<byte[], byte[]> consumer() {
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", bootstrap,
            "enable.auto.commit", "false",
            "max.poll.records", "10000");
        KafkaConsumer<byte[], byte[]> consumer =
            new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        List<TopicPartition> partitions =
            IntStream.range(0, PARTITIONS).mapToObj(partition -> new TopicPartition(topic, partition)).toList();
        consumer.assign(partitions);
        partitions.forEach(partition -> consumer.seek(partition, 0));
        return consumer;
    }

    private static void report(long records, long bytes, long[] took) throws IOException {
        Arrays.sort(took);
        long median = took.length == 0 ? 0 : took[took.length / 2];
        long worst = took.length == 0 ? 0 : took[took.length * 99 / 100];
        System.out.println(records + " " + bytes + " " + median + " " + worst);
        System.out.flush();
        while (System.in.read() >= 0) {
        }
    }
}
