package klamm;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.clients.consumer.internals.ConsumerProtocol;
import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;

/** Consumer groups of the classic protocol: assignors as a leader runs them, and the blobs around them. */
final class Groups {
    private Groups() {}

    /** Runs a new assignor on members given in the order of a join response. */
    static void assign(Question question, Answer answer) throws Exception {
        ConsumerPartitionAssignor assignor = assignor(question.string());
        Cluster cluster = cluster(question);
        Map<String, ConsumerPartitionAssignor.Subscription> subscriptions = new HashMap<>();
        int members = question.int32();
        for (int i = 0; i < members; i++) {
            String id = question.string();
            Optional<String> instanceId = nullable(question);
            ConsumerPartitionAssignor.Subscription subscription =
                ConsumerProtocol.deserializeSubscription(ByteBuffer.wrap(question.bytes()));
            subscription.setGroupInstanceId(instanceId);
            subscriptions.put(id, subscription);
        }
        ConsumerPartitionAssignor.GroupSubscription group =
            new ConsumerPartitionAssignor.GroupSubscription(subscriptions);
        Map<String, ConsumerPartitionAssignor.Assignment> assigned =
            assignor.assign(cluster, group).groupAssignment();
        answer.int32(assigned.size());
        for (Map.Entry<String, ConsumerPartitionAssignor.Assignment> entry : assigned.entrySet()) {
            answer.string(entry.getKey());
            partitions(answer, entry.getValue().partitions());
        }
    }

    /** What an assignor puts into its user data, after an assignment if there was one. */
    static void userData(Question question, Answer answer) throws Exception {
        ConsumerPartitionAssignor assignor = assignor(question.string());
        int generation = question.int32();
        if (question.bool()) {
            assignor.onAssignment(
                new ConsumerPartitionAssignor.Assignment(partitions(question)),
                new ConsumerGroupMetadata("group", generation, "member", Optional.empty()));
        }
        answer.bytes(assignor.subscriptionUserData(Set.of()));
    }

    static void writeSubscription(Question question, Answer answer) throws Exception {
        short version = question.int16();
        List<String> topics = new ArrayList<>();
        int count = question.int32();
        for (int i = 0; i < count; i++) {
            topics.add(question.string());
        }
        ByteBuffer userData = buffer(question);
        List<TopicPartition> owned = partitions(question);
        int generation = question.int32();
        answer.bytes(ConsumerProtocol.serializeSubscription(
            new ConsumerPartitionAssignor.Subscription(topics, userData, owned, generation, nullable(question)),
            version));
    }

    static void readSubscription(Question question, Answer answer) throws Exception {
        ConsumerPartitionAssignor.Subscription read =
            ConsumerProtocol.deserializeSubscription(ByteBuffer.wrap(question.bytes()));
        answer.int32(read.topics().size());
        for (String topic : read.topics()) {
            answer.string(topic);
        }
        answer.bytes(read.userData());
        partitions(answer, read.ownedPartitions());
        answer.int32(read.generationId().orElse(-1));
        answer.bool(read.rackId().isPresent());
        answer.string(read.rackId().orElse(""));
    }

    static void writeAssignment(Question question, Answer answer) throws Exception {
        short version = question.int16();
        List<TopicPartition> partitions = partitions(question);
        answer.bytes(ConsumerProtocol.serializeAssignment(
            new ConsumerPartitionAssignor.Assignment(partitions, buffer(question)), version));
    }

    static void readAssignment(Question question, Answer answer) throws Exception {
        ConsumerPartitionAssignor.Assignment read =
            ConsumerProtocol.deserializeAssignment(ByteBuffer.wrap(question.bytes()));
        partitions(answer, read.partitions());
        answer.bytes(read.userData());
    }

    private static ConsumerPartitionAssignor assignor(String name) {
        return switch (name) {
            case "range" -> new RangeAssignor();
            case "roundrobin" -> new RoundRobinAssignor();
            case "sticky" -> new StickyAssignor();
            case "cooperative-sticky" -> new CooperativeStickyAssignor();
            default -> throw new IllegalArgumentException("no assignor " + name);
        };
    }

    /** Topics with the racks of each partition's replicas, one broker for each replica. */
    private static Cluster cluster(Question question) {
        List<Node> nodes = new ArrayList<>();
        List<PartitionInfo> partitions = new ArrayList<>();
        int topics = question.int32();
        for (int t = 0; t < topics; t++) {
            String topic = question.string();
            int count = question.int32();
            for (int p = 0; p < count; p++) {
                Node[] replicas = new Node[question.int32()];
                for (int r = 0; r < replicas.length; r++) {
                    replicas[r] = new Node(nodes.size(), "localhost", 9092, nullable(question).orElse(null));
                    nodes.add(replicas[r]);
                }
                Node leader = replicas.length == 0 ? null : replicas[0];
                partitions.add(new PartitionInfo(topic, p, leader, replicas, replicas));
            }
        }
        return new Cluster("cluster", nodes, partitions, Set.of(), Set.of());
    }

    private static List<TopicPartition> partitions(Question question) {
        List<TopicPartition> partitions = new ArrayList<>();
        int count = question.int32();
        for (int i = 0; i < count; i++) {
            String topic = question.string();
            partitions.add(new TopicPartition(topic, question.int32()));
        }
        return partitions;
    }

    private static void partitions(Answer answer, List<TopicPartition> partitions) throws IOException {
        answer.int32(partitions.size());
        for (TopicPartition partition : partitions) {
            answer.string(partition.topic());
            answer.int32(partition.partition());
        }
    }

    private static Optional<String> nullable(Question question) {
        return question.bool() ? Optional.of(question.string()) : Optional.empty();
    }

    private static ByteBuffer buffer(Question question) {
        byte[] bytes = question.bytes();
        return bytes == null ? null : ByteBuffer.wrap(bytes);
    }
}
