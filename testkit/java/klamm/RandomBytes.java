package klamm;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.kafka.common.protocol.types.ArrayOf;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.CompactArrayOf;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;

/**
 * Random messages, made by walking Kafka's own table of a version's fields.
 *
 * <p>The bytes are written here, not by the classes that later read them, so that nulls, long strings
 * and extreme numbers turn up wherever the table allows them.
 */
final class RandomBytes {
    private final Random random;
    private DataOutputStream out;

    RandomBytes(Random random) {
        this.random = random;
    }

    byte[] of(Schema schema) throws Exception {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        out = new DataOutputStream(bytes);
        write(schema, 0);
        return bytes.toByteArray();
    }

    private void write(Type type, int depth) throws Exception {
        if (type instanceof Schema schema) {
            struct(schema, depth);
        } else if (type instanceof TaggedFields tagged) {
            taggedFields(tagged, depth);
        } else if (type instanceof ArrayOf || type instanceof CompactArrayOf) {
            array(type, depth);
        } else {
            primitive(type);
        }
    }

    private void struct(Schema schema, int depth) throws Exception {
        if (schema.isNullable()) {
            boolean isNull = random.nextInt(3) == 0;
            out.writeByte(isNull ? -1 : 1);
            if (isNull) {
                return;
            }
        }
        for (BoundField field : schema.fields()) {
            write(field.def.type, depth);
        }
    }

    private void array(Type type, int depth) throws Exception {
        boolean compact = type instanceof CompactArrayOf;
        int length = random.nextInt(depth > 1 ? 3 : 4);
        if (type.isNullable() && random.nextInt(4) == 0) {
            length = -1;
        }
        length(compact, length);
        for (int i = 0; i < length; i++) {
            write(type.arrayElementType().orElseThrow(), depth + 1);
        }
    }

    private void taggedFields(TaggedFields tagged, int depth) throws Exception {
        Map<Integer, org.apache.kafka.common.protocol.types.Field> chosen = new TreeMap<>();
        fields(tagged).forEach((tag, field) -> {
            if (random.nextBoolean()) {
                chosen.put(tag, field);
            }
        });
        unsignedVarint(chosen.size());
        for (Map.Entry<Integer, org.apache.kafka.common.protocol.types.Field> entry : chosen.entrySet()) {
            DataOutputStream outer = out;
            ByteArrayOutputStream value = new ByteArrayOutputStream();
            out = new DataOutputStream(value);
            write(entry.getValue().type, depth + 1);
            out = outer;
            unsignedVarint(entry.getKey());
            unsignedVarint(value.size());
            out.write(value.toByteArray());
        }
    }

    /** The getter is younger than 3.9. */
    @SuppressWarnings("unchecked")
    private static Map<Integer, org.apache.kafka.common.protocol.types.Field> fields(TaggedFields tagged)
        throws ReflectiveOperationException {
        Field fields = TaggedFields.class.getDeclaredField("fields");
        fields.setAccessible(true);
        return (Map<Integer, org.apache.kafka.common.protocol.types.Field>) fields.get(tagged);
    }

    private void primitive(Type type) throws IOException {
        String name = type.toString();
        switch (name) {
            case "BOOLEAN" -> out.writeBoolean(random.nextBoolean());
            case "INT8" -> out.writeByte(random.nextInt());
            case "INT16" -> out.writeShort((short) number());
            case "UINT16" -> out.writeShort(random.nextInt());
            case "INT32", "UINT32" -> out.writeInt((int) number());
            case "INT64" -> out.writeLong(number());
            case "FLOAT64" -> out.writeDouble(random.nextGaussian() * 1e9);
            case "UUID" -> {
                out.writeLong(random.nextLong());
                out.writeLong(random.nextLong());
            }
            default -> sized(name, type.isNullable());
        }
    }

    private void sized(String name, boolean nullable) throws IOException {
        boolean compact = name.startsWith("COMPACT_");
        boolean string = name.endsWith("STRING");
        if (!string && !name.endsWith("BYTES") && !name.endsWith("RECORDS")) {
            throw new IllegalArgumentException("no random value for the type " + name);
        }
        byte[] value = string ? text() : randomBytes();
        if (nullable && random.nextInt(4) == 0) {
            value = null;
        }
        int length = value == null ? -1 : value.length;
        if (string && !compact) {
            out.writeShort(length);
        } else {
            length(compact, length);
        }
        if (value != null) {
            out.write(value);
        }
    }

    private void length(boolean compact, int length) throws IOException {
        if (compact) {
            unsignedVarint(length + 1);
        } else {
            out.writeInt(length);
        }
    }

    /** Any magnitude is as likely as any other, and the special values come often. */
    private long number() {
        return switch (random.nextInt(8)) {
            case 0 -> 0;
            case 1 -> -1;
            case 2 -> 1;
            default -> random.nextLong() >> random.nextInt(64);
        };
    }

    private byte[] text() {
        StringBuilder text = new StringBuilder();
        int length = random.nextInt(10) == 0 ? random.nextInt(300) : random.nextInt(12);
        for (int i = 0; i < length; i++) {
            text.appendCodePoint("azAZ09._-/ \u00df\u20ac\ud83d\ude80".codePoints().toArray()[random.nextInt(14)]);
        }
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    private byte[] randomBytes() {
        byte[] bytes = new byte[random.nextInt(10) == 0 ? random.nextInt(9000) : random.nextInt(20)];
        random.nextBytes(bytes);
        return bytes;
    }

    private void unsignedVarint(int value) throws IOException {
        while ((value & ~0x7f) != 0) {
            out.writeByte((value & 0x7f) | 0x80);
            value >>>= 7;
        }
        out.writeByte(value);
    }
}
