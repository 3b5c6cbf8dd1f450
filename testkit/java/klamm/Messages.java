package klamm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.nio.ByteBuffer;
import java.util.Random;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.Schema;

/** Requests and responses, read and written by the classes generated from Kafka's definitions. */
final class Messages {
    private static final ObjectMapper JSON = new ObjectMapper();

    private Messages() {}

    /** Every API with its versions, and the versions of the headers around its messages. */
    static void list(Answer answer) throws IOException {
        for (ApiMessageType type : ApiMessageType.values()) {
            short lowest = type.lowestSupportedVersion();
            short highest = type.highestSupportedVersion(true);
            if (lowest > highest) {
                continue;
            }
            answer.int16(type.apiKey());
            answer.string(type.name);
            answer.int16(lowest);
            answer.int16(highest);
            answer.bool(type.latestVersionUnstable());
            for (short version = lowest; version <= highest; version++) {
                answer.int16(type.requestHeaderVersion(version));
                answer.int16(type.responseHeaderVersion(version));
            }
        }
    }

    /** Reads a message, and writes it again both directly and by way of JSON. */
    static void decode(Question question, Answer answer) throws Exception {
        Kind kind = new Kind(question);
        ByteBuffer bytes = ByteBuffer.wrap(question.bytes());
        ApiMessage message = kind.read(bytes);
        answer.int32(bytes.remaining());
        answer.bytes(kind.write(message));
        answer.string(kind.toJson(message).toString());
    }

    static void fromJson(Question question, Answer answer) throws Exception {
        Kind kind = new Kind(question);
        answer.bytes(kind.write(kind.fromJson(JSON.readTree(question.string()))));
    }

    /** Writes messages with random values in all fields of a version. */
    static void random(Question question, Answer answer) throws Exception {
        Kind kind = new Kind(question);
        RandomBytes random = new RandomBytes(new Random(question.int64()));
        int count = question.int32();
        for (int i = 0; i < count; i++) {
            byte[] bytes = random.of(kind.schema());
            // Read and written once, so that defaults of tagged fields are left out as they should.
            answer.bytes(kind.write(kind.read(ByteBuffer.wrap(bytes))));
        }
    }

    /** Which message is meant: an API, request or response, and the version. */
    private static final class Kind {
        private final ApiMessageType type;
        private final boolean response;
        private final short version;

        Kind(Question question) {
            type = ApiMessageType.fromApiKey(question.int16());
            response = question.bool();
            version = question.int16();
        }

        Schema schema() {
            return (response ? type.responseSchemas() : type.requestSchemas())[version];
        }

        ApiMessage read(ByteBuffer bytes) {
            ApiMessage message = response ? type.newResponse() : type.newRequest();
            message.read(new ByteBufferAccessor(bytes), version);
            return message;
        }

        ByteBuffer write(ApiMessage message) {
            ObjectSerializationCache cache = new ObjectSerializationCache();
            ByteBuffer bytes = ByteBuffer.allocate(message.size(cache, version));
            message.write(new ByteBufferAccessor(bytes), cache, version);
            bytes.flip();
            return bytes;
        }

        JsonNode toJson(ApiMessage message) throws Exception {
            Class<?> converter = Class.forName(message.getClass().getName() + "JsonConverter");
            return (JsonNode) call(converter, "write", message, message.getClass());
        }

        ApiMessage fromJson(JsonNode json) throws Exception {
            Class<?> data = (response ? type.newResponse() : type.newRequest()).getClass();
            Class<?> converter = Class.forName(data.getName() + "JsonConverter");
            return (ApiMessage) call(converter, "read", json, JsonNode.class);
        }

        private Object call(Class<?> converter, String name, Object argument, Class<?> type)
            throws Exception {
            try {
                return converter.getMethod(name, type, short.class).invoke(null, argument, version);
            } catch (InvocationTargetException wrapped) {
                throw wrapped.getCause() instanceof Exception cause ? cause : wrapped;
            }
        }
    }
}
