package klamm;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** The argument of a command: big-endian numbers, and bytes after their length, -1 meaning null. */
final class Question {
    private final ByteBuffer buffer;

    Question(byte[] bytes) {
        buffer = ByteBuffer.wrap(bytes);
    }

    byte int8() {
        return buffer.get();
    }

    boolean bool() {
        return buffer.get() != 0;
    }

    short int16() {
        return buffer.getShort();
    }

    int int32() {
        return buffer.getInt();
    }

    long int64() {
        return buffer.getLong();
    }

    byte[] bytes() {
        int length = buffer.getInt();
        if (length < 0) {
            return null;
        }
        byte[] bytes = new byte[length];
        buffer.get(bytes);
        return bytes;
    }

    String string() {
        return new String(bytes(), StandardCharsets.UTF_8);
    }

    void end() {
        if (buffer.hasRemaining()) {
            throw new IllegalArgumentException(buffer.remaining() + " bytes were left over");
        }
    }
}
