package klamm;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;

/**
 * Answers questions about Kafka's formats with Kafka's own code.
 *
 * <p>In: frames on standard input, each four bytes of length, one byte of command and its argument.
 * Out: one frame for each on standard output: four bytes of length, a zero and the result, or a one
 * and the text of an exception. It ends when its input does.
 */
public final class Oracle {
    private Oracle() {}

    public static void main(String[] arguments) throws IOException {
        DataInputStream in = new DataInputStream(new BufferedInputStream(System.in, 1 << 16));
        DataOutputStream out = new DataOutputStream(new BufferedOutputStream(System.out, 1 << 16));
        // Whatever a library prints must not land between the frames.
        System.setOut(new PrintStream(System.err, true));
        while (true) {
            byte[] question;
            try {
                question = new byte[in.readInt()];
            } catch (EOFException end) {
                return;
            }
            in.readFully(question);
            Answer answer = new Answer();
            int status = 0;
            try {
                answer(new Question(question), answer);
            } catch (Throwable trouble) {
                answer = new Answer();
                answer.raw(describe(trouble).getBytes(StandardCharsets.UTF_8));
                status = 1;
            }
            out.writeInt(1 + answer.size());
            out.writeByte(status);
            answer.writeTo(out);
            out.flush();
        }
    }

    private static void answer(Question question, Answer answer) throws Exception {
        byte command = question.int8();
        switch (command) {
            case 'b' -> RecordSets.build(question, answer);
            case 'd' -> RecordSets.dump(question, answer);
            case 'f' -> RecordSets.filter(question, answer);
            case 'h' -> Partitions.hash(question, answer);
            case 'q' -> Partitions.draw(question, answer);
            case 'g' -> Groups.assign(question, answer);
            case 'u' -> Groups.userData(question, answer);
            case 's' -> Groups.writeSubscription(question, answer);
            case 'S' -> Groups.readSubscription(question, answer);
            case 't' -> Groups.writeAssignment(question, answer);
            case 'T' -> Groups.readAssignment(question, answer);
            case 'l' -> Logins.option(question, answer);
            case 'L' -> Logins.file(question, answer);
            case 'a' -> Messages.list(answer);
            case 'm' -> Messages.decode(question, answer);
            case 'j' -> Messages.fromJson(question, answer);
            case 'r' -> Messages.random(question, answer);
            default -> throw new IllegalArgumentException("no command " + command);
        }
        question.end();
    }

    private static String describe(Throwable trouble) {
        StringWriter text = new StringWriter();
        trouble.printStackTrace(new PrintWriter(text));
        return text.toString();
    }
}
