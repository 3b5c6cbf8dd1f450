package klamm;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import javax.security.auth.login.AppConfigurationEntry;
import javax.security.auth.login.Configuration;
import javax.security.auth.login.AppConfigurationEntry.LoginModuleControlFlag;
import java.security.URIParameter;
import org.apache.kafka.common.config.SaslConfigs;
import org.apache.kafka.common.config.types.Password;
import org.apache.kafka.common.security.JaasContext;

/** What Java reads out of login configurations. */
final class Logins {
    private Logins() {}

    /** The one module of an option's text, or why there is none. */
    static void option(Question question, Answer answer) throws IOException {
        Map<String, Object> options =
            Map.of(SaslConfigs.SASL_JAAS_CONFIG, new Password(question.string()));
        AppConfigurationEntry[] entries;
        try {
            entries = JaasContext.loadClientContext(options).configurationEntries()
                .toArray(new AppConfigurationEntry[0]);
        } catch (RuntimeException refusal) {
            refused(refusal, answer);
            return;
        }
        write(entries, answer);
    }

    /** The modules of a file's entry for clients, or why there are none. */
    static void file(Question question, Answer answer) throws Exception {
        Path file = Files.createTempFile("klamm", ".jaas");
        AppConfigurationEntry[] entries;
        try {
            Files.write(file, question.string().getBytes(StandardCharsets.UTF_8));
            entries = Configuration.getInstance("JavaLoginConfig", new URIParameter(file.toUri()))
                .getAppConfigurationEntry("KafkaClient");
        } catch (Exception refusal) {
            refused(refusal, answer);
            return;
        } finally {
            Files.delete(file);
        }
        write(entries == null ? new AppConfigurationEntry[0] : entries, answer);
    }

    private static void refused(Exception refusal, Answer answer) throws IOException {
        answer.bool(false);
        answer.string(String.valueOf(refusal.getMessage()));
    }

    private static void write(AppConfigurationEntry[] entries, Answer answer) throws IOException {
        answer.bool(true);
        answer.int32(entries.length);
        for (AppConfigurationEntry entry : entries) {
            answer.string(entry.getLoginModuleName());
            answer.string(flag(entry.getControlFlag()));
            Map<String, String> options = new TreeMap<>();
            entry.getOptions().forEach((key, value) ->
                options.put(String.valueOf(key), String.valueOf(value)));
            answer.int32(options.size());
            for (Map.Entry<String, String> option : options.entrySet()) {
                answer.string(option.getKey());
                answer.string(option.getValue());
            }
        }
    }

    private static String flag(LoginModuleControlFlag flag) {
        String text = flag.toString();
        return text.substring(text.lastIndexOf(' ') + 1);
    }
}
