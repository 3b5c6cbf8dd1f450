//! Login configurations of every shape, read by Kafka and the JDK as well: the same modules, flags and options come
//! out, or the same refusal.

use std::collections::BTreeMap;

use klamm_client::config::jaas::{JaasError, JaasModule, parse, parse_file};
use klamm_testkit::apache;
use klamm_testkit::oracle::{self, LoginModule};

#[test]
fn b231_b232_b233_b234_options_are_read_and_refused_as_kafka_does() {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut agreed = 0;
    for text in texts(&OPTION, &mut random) {
        let theirs = java.login_option(&text).expect("an answer");
        match (parse(&text), theirs) {
            (Ok(ours), Ok(theirs)) => {
                assert_eq!([plain(&ours)][..], theirs[..], "{text:?}");
                agreed += 1;
            }
            (Err(ours), Err(theirs)) => same_words(&ours, &theirs, &text),
            // Java takes a key that is no word for null.
            (Err(JaasError::NoValue(key)), Ok(theirs)) if key == "null" => {
                assert!(theirs[0].options.contains_key("null"), "{text:?}");
            }
            (ours, theirs) => panic!("{text:?}: {ours:?}, but Java: {theirs:?}"),
        }
    }
    assert!(agreed > 100, "{agreed}");
}

#[test]
fn files_are_read_as_the_jdk_does() {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut agreed = 0;
    for text in texts(&FILE, &mut random) {
        let theirs = java.login_file(&text).expect("an answer");
        let ours = parse_file(&text).and_then(|file| match file.client(None) {
            Ok(module) => Ok(vec![plain(module)]),
            Err(JaasError::NoEntry { .. } | JaasError::NotOneModule(0)) => Ok(Vec::new()),
            Err(error) => Err(error),
        });
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                assert_eq!(ours, theirs, "{text:?}");
                agreed += ours.len();
            }
            (Err(JaasError::NotOneModule(count)), Ok(theirs)) => assert_eq!(count, theirs.len()),
            (Err(JaasError::NotAllowed(_)), Ok(_)) | (Err(_), Err(_)) => {}
            (ours, theirs) => panic!("{text:?}: {ours:?}, but Java: {theirs:?}"),
        }
    }
    assert!(agreed > 100, "{agreed}");
}

fn plain(module: &JaasModule) -> LoginModule {
    let options = module.options().map(|(key, value)| (key.to_owned(), value.reveal().to_owned()));
    LoginModule {
        class: module.class().to_owned(),
        flag: format!("{:?}", module.flag()).to_lowercase(),
        options: options.collect::<BTreeMap<_, _>>(),
    }
}

fn same_words(ours: &JaasError, theirs: &str, text: &str) {
    let said = ours.to_string();
    let same = match ours {
        // What may be a piece of a password is not repeated.
        JaasError::NoValue(key) if key == "***" => theirs.starts_with("Value not specified for"),
        JaasError::InvalidFlag(flag) if flag == "***" => {
            theirs.starts_with("Invalid login module control flag")
        }
        // Java goes on after a null key, and may stumble later.
        JaasError::NoValue(key) if key == "null" => true,
        JaasError::NotAllowed(_) => theirs.starts_with(&said),
        // Java has no words for a name that is none.
        JaasError::NoModule => theirs == said || theirs == "null" || theirs.contains("name"),
        _ => theirs == said,
    };
    assert!(same, "{text:?}: {said}, but Java: {theirs}");
}

/// Good texts, and what becomes of them when pieces are lost, doubled and put elsewhere.
fn texts(good: &[&str], random: &mut fastrand::Rng) -> Vec<String> {
    let mut texts: Vec<_> = good.iter().map(|text| (*text).to_owned()).collect();
    for _ in 0..4_000 {
        let mut pieces: Vec<_> = good[random.usize(0..good.len())].chars().collect();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(0..=pieces.len());
            let piece: Vec<_> = PIECES[random.usize(0..PIECES.len())].chars().collect();
            let end = (at + random.usize(0..3)).min(pieces.len());
            pieces.splice(at..end, piece);
        }
        texts.push(pieces.into_iter().collect());
    }
    texts
}

const SEED: u64 = 0x6a61_6173;

const OPTION: [&str; 6] = [
    "a.B required;",
    "a.B$c optional key=value 'k'=\"v\" x=y.z-1;",
    "// one\na.B /* two */ REQUISITE / three\n k-e_y$=v.a l='' m=\"\\101\\n\\377\\4778\\x\";",
    "com.sun.security.auth.module.JndiLoginModule required;",
    "M sufficient a=b a=c;",
    "A required x=y; B required;",
];

const FILE: [&str; 4] = [
    "KafkaClient { a.B required; };",
    "Other { A.* optional; B required k=v; };\nKafkaClient {\n x.Y REQUIRED\n a=true \"b\"=\"c d\";\n};",
    "/* x */ KafkaClient { // y\n M required k=\"\\\"q\\\"\" l=m-n_o$; };",
    "KafkaClient { };",
];

const PIECES: [&str; 40] = [
    "",
    "",
    "",
    " ",
    "\n",
    "\r",
    "\t",
    ";",
    "=",
    "\"",
    "'",
    "\\",
    "\\1",
    "\\n",
    "/",
    "//",
    "/*",
    "*/",
    "*",
    "{",
    "}",
    "5",
    "-",
    "-5",
    ".",
    "1.2.3",
    "@",
    ",",
    "#",
    "é",
    "\u{85}",
    "\u{a0}",
    "€",
    "\u{1f511}",
    "bogus",
    "required",
    "a=b ",
    "A required;",
    "KafkaClient",
    "\u{7f}",
];
