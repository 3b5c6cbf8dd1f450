package klamm;

import java.io.IOException;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.utils.Utils;

/** Where the Java producer puts records. */
final class Partitions {
    private Partitions() {}

    /** The hashes from which a key's partition derives, and the partition of so many. */
    static void hash(Question question, Answer answer) throws IOException {
        int partitions = question.int32();
        int count = question.int32();
        for (int i = 0; i < count; i++) {
            byte[] key = question.bytes();
            answer.int32(Utils.murmur2(key));
            answer.int32(BuiltInPartitioner.partitionForKey(key, partitions));
        }
    }

    /** The partitions that are drawn for random numbers, given the queues. */
    static void draw(Question question, Answer answer) throws Exception {
        Method drawn = Class.forName("org.apache.kafka.clients.producer.internals.DrawnPartition")
            .getMethod("of", int.class, int[].class, int[].class, int.class, Cluster.class);
        Node broker = new Node(0, "localhost", 9092);
        int draws = question.int32();
        for (int i = 0; i < draws; i++) {
            int random = question.int32();
            boolean adaptive = question.bool();
            int all = question.int32();
            int[] queues = new int[all];
            int[] partitions = new int[all];
            int ready = 0;
            List<PartitionInfo> infos = new ArrayList<>();
            for (int p = 0; p < all; p++) {
                int batches = question.int32();
                boolean led = question.bool();
                boolean keepsUp = question.bool();
                if (led && keepsUp) {
                    queues[ready] = batches;
                    partitions[ready++] = p;
                }
                infos.add(new PartitionInfo("topic", p, led ? broker : null, new Node[0], new Node[0]));
            }
            Cluster cluster = new Cluster("cluster", List.of(broker), infos, Set.of(), Set.of());
            answer.int32((int) drawn.invoke(null, random, adaptive ? queues : null, partitions, ready, cluster));
        }
    }
}
