//! Login configurations as Java reads and refuses them.

use super::{ControlFlag, JaasError, JaasModule, no_client_entry, parse, parse_file};

fn options(module: &JaasModule) -> Vec<(&str, &str)> {
    module.options().map(|(key, value)| (key, value.reveal())).collect()
}

fn refused(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn b231_exactly_one_module_is_taken() {
    let one = "a.B required x=y;";
    assert_eq!(parse(one).expect("one").class(), "a.B");
    assert_eq!(
        refused(&one.repeat(2)),
        "JAAS config property contains 2 login modules, should be 1 module"
    );
    assert_eq!(
        refused(&one.repeat(3)),
        "JAAS config property contains 3 login modules, should be 1 module"
    );
}

#[test]
fn b232_the_grammar_is_that_of_kafka() {
    let text = "// who\n a.B$C_d-e /* which */ ReQuIrEd\n bare=word.1-x_$ \"key\"='sin\"gle' \
                double=\"do'ub\\\"le\" escapes='\\101\\n\\377\\4778' empty=\"\" / the rest\n ;";
    let module = parse(text).expect("read");
    assert_eq!((module.class(), module.flag()), ("a.B$C_d-e", ControlFlag::Required));
    assert_eq!(
        options(&module),
        [
            ("bare", "word.1-x_$"),
            ("key", "sin\"gle"),
            ("double", "do'ub\"le"),
            ("escapes", "A\n\u{ff}'78"),
            ("empty", ""),
        ]
    );
    for (flag, read) in [
        ("requisite", ControlFlag::Requisite),
        ("SUFFICIENT", ControlFlag::Sufficient),
        ("Optional", ControlFlag::Optional),
    ] {
        assert_eq!(parse(&format!("M {flag};")).expect(flag).flag(), read);
    }
    let twice = parse("M required a=b a=c;").expect("read");
    assert_eq!(twice.option("a").map(|value| value.reveal()), Some("c"));
    assert_eq!(twice.option("A"), None);
}

#[test]
fn b233_errors_are_in_the_words_of_kafka() {
    let none = "Login module not specified in JAAS config";
    let not_ended = "JAAS config entry not terminated by semi-colon";
    for (text, said) in [
        ("", none),
        (" // M required;", none),
        ("M", "Login module control flag not specified in JAAS config"),
        ("M bogus a=b;", "Invalid login module control flag 'bogus' in JAAS config"),
        ("M 5;", "Login module control flag is not available in the JAAS config"),
        ("M required a=;", "Value not specified for key 'a' in JAAS config"),
        ("M required n=5;", "Value not specified for key 'n' in JAAS config"),
        ("M required x=y username=;", "Value not specified for key 'username' in JAAS config"),
        ("M required a b;", "Value not specified for key 'a' in JAAS config"),
        ("M required a=b", not_ended),
        ("M required", not_ended),
        ("M required path=/etc/x;", "Value not specified for key 'path' in JAAS config"),
        ("M required realm=a@b;", "Value not specified for key 'null' in JAAS config"),
    ] {
        assert_eq!(refused(text), said, "{text}");
    }
}

#[test]
fn b234_modules_that_run_foreign_code_are_refused() {
    for name in ["JndiLoginModule", "LdapLoginModule"] {
        let class = format!("com.sun.security.auth.module.{name}");
        for text in [format!("{class} required;"), format!("\" {class} \" required;")] {
            assert_eq!(refused(&text), format!("{class} is not allowed"));
        }
        let file = parse_file(&format!("KafkaClient {{ {class} required; }};")).expect("read");
        assert_eq!(file.client(None), Err(JaasError::NotAllowed(class)));
        assert!(parse(&format!("{name} required;")).is_ok(), "another package's");
    }
}

#[test]
fn b235_without_a_section_for_clients_java_says_where_it_looked() {
    let head = "Could not find a 'KafkaClient' entry in the JAAS configuration. System property \
                'java.security.auth.login.config' is ";
    assert_eq!(no_client_entry(None).to_string(), format!("{head}not set"));
    let file = parse_file("KafkaServer { M required; };").expect("read");
    assert!(file.has("KafkaServer") && !file.has("KafkaClient"));
    let error = file.client(Some("/etc/jaas.conf")).expect_err("no section");
    assert_eq!(error.to_string(), format!("{head}/etc/jaas.conf"));
}

#[test]
fn files_are_read_as_the_jdk_reads_them() {
    let text = "/* for all */ Other { A optional; B.c* required k=v; };\n// clients\nKafkaClient {\n \
                x.KeytabModule REQUIRED\n useKeyTab=true keyTab=\"/etc/a.keytab\";\n};\nEmpty { };";
    let file = parse_file(text).expect("read");
    let module = file.client(None).expect("one module");
    assert!(module.is("KeytabModule") && !module.is("x.KeytabModule"));
    assert_eq!(options(module), [("useKeyTab", "true"), ("keyTab", "/etc/a.keytab")]);
    assert_eq!(format!("{file:?}"), r#"["Empty", "KafkaClient", "Other"]"#);
    assert!(parse_file("").is_ok_and(|file| !file.has("KafkaClient")));
}

#[test]
fn a_file_that_is_written_otherwise_is_refused_with_its_line() {
    for (text, said) in [
        ("KafkaClient", "expected [{], read [end of file]"),
        ("KafkaClient\n{\nM required", "expected [option key], read [end of file]"),
        ("KafkaClient {\nM required k=v }", "Line 2: expected [option key]"),
        ("KafkaClient {\nM required k=\n'v'; };", "Line 3: expected [option value]"),
        ("KafkaClient { M required k v; };", "Line 1: expected [=]"),
        ("KafkaClient { M required; }", "expected [;], read [end of file]"),
        ("A { M required; };A { M required; };", "Can not specify multiple entries for A"),
        ("A { M required k=\"${x}\"; };", "Line 1: properties of Java are not expanded here"),
    ] {
        let error = parse_file(text).expect_err(text).to_string();
        assert_eq!(error, format!("Configuration Error: {said}"), "{text}");
    }
    let bogus = parse_file("A { M bogus; };").expect_err("no flag");
    assert_eq!(bogus, JaasError::InvalidFlag("bogus".to_owned()));
    let two = parse_file("KafkaClient { A required; B required; };").expect("read");
    assert_eq!(two.client(None), Err(JaasError::NotOneModule(2)));
}

#[test]
fn no_piece_of_a_password_is_printed() {
    for text in [
        "M required password=\"hunter2\" then",
        "M required password=hun; hunter2;",
        "M required password=\"hun\"; M hunter2;",
        "M required password=\"hun\"; M required hunter2;",
        "M required password=hun hunter2;",
        "M required password=hun hunter2=;",
        "M required password=hun hunter2=5;",
        "M required password=5hunter2;",
        "M required password=\"a\"hunter2\";",
        "M required password=hunter2@hunter2;",
        "M required password=\"hunter2\n\" x=y;",
        "M required password=\"hunter2\" username=\"x\"; M required;",
    ] {
        let error = parse(text).expect_err(text);
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{text}: {error}");
        let file = parse_file(&format!("A {{ {text} }};"));
        assert!(!format!("{file:?}").contains("hunter2"), "{text}");
        let said = file.map_or_else(|error| error.to_string(), |_| String::new());
        assert!(!said.contains("hunter2"), "{text}: {said}");
    }
    let module = parse("M required password='hunter2';").expect("read");
    assert!(!format!("{module:?}").contains("hunter2"));
}
