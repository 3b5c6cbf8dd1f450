//! Fills the cache of Kafka's jars and compiles the Java oracle, so that no test has to wait for it.
//! A machine that runs tests calls it once: `cargo run -p klamm-testkit --example warm_up`.

use klamm_testkit::apache::{NEWEST, OLDEST, PREVIOUS};
use klamm_testkit::java::Tools;
use klamm_testkit::oracle::{Java, NEXT};
use klamm_testkit::outside::Error;

fn main() -> Result<(), Error> {
    for version in [NEWEST, PREVIOUS, OLDEST] {
        Tools::for_version(version)?;
    }
    for version in [NEXT, NEWEST, PREVIOUS] {
        Java::start(version)?.apis()?;
    }
    Ok(())
}
