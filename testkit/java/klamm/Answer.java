package klamm;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** The result of a command, in the same format as a {@link Question}. */
final class Answer {
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    private final DataOutputStream out = new DataOutputStream(bytes);

    void int8(int value) throws IOException {
        out.writeByte(value);
    }

    void bool(boolean value) throws IOException {
        out.writeByte(value ? 1 : 0);
    }

    void int16(int value) throws IOException {
        out.writeShort(value);
    }

    void int32(int value) throws IOException {
        out.writeInt(value);
    }

    void int64(long value) throws IOException {
        out.writeLong(value);
    }

    void bytes(byte[] value) throws IOException {
        if (value == null) {
            out.writeInt(-1);
            return;
        }
        out.writeInt(value.length);
        out.write(value);
    }

    void bytes(ByteBuffer value) throws IOException {
        bytes(value == null ? null : copy(value));
    }

    void string(String value) throws IOException {
        bytes(value.getBytes(StandardCharsets.UTF_8));
    }

    void raw(byte[] value) throws IOException {
        out.write(value);
    }

    int size() {
        return bytes.size();
    }

    void writeTo(OutputStream target) throws IOException {
        bytes.writeTo(target);
    }

    static byte[] copy(ByteBuffer buffer) {
        byte[] copy = new byte[buffer.remaining()];
        buffer.duplicate().get(copy);
        return copy;
    }
}
