//! A KDC of MIT's for a test: its realm, its principals, its keytabs. In: the programs `krb5kdc`,
//! `kdb5_util` and `kadmin.local`, as Debian has them; out: a KDC on a free loopback port, all of whose
//! files are in a temporary folder. It needs no rights, and ends with the value.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::apache::free_ports;
use crate::java::Supervised;
use crate::outside::{Error, Service};

/// A running KDC.
#[derive(Debug)]
pub struct Kdc {
    port: u16,
    process: Option<Supervised>,
    folder: TempDir,
}

impl Kdc {
    /// A realm's name; all is in this one.
    pub const REALM: &str = "KLAMM.TEST";

    /// Makes a realm and starts its KDC.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] where a program is; [`Error::Failed`] with what it printed.
    pub fn start() -> Result<Self, Error> {
        for program in ["krb5kdc", "kdb5_util", "kadmin.local"] {
            find(program)?;
        }
        let folder = tempfile::Builder::new().prefix("klamm-kdc-").tempdir();
        let folder = folder.map_err(Error::io("making a folder for the KDC"))?;
        let port = free_ports(1).map_err(Error::io("finding a free port"))?[0];
        let mut kdc = Self { port, process: None, folder };
        kdc.write_settings().map_err(Error::io("writing the KDC's settings"))?;
        kdc.run("kdb5_util", &["create", "-s", "-r", Self::REALM, "-P", "a test's"])?;
        kdc.restart()?;
        Ok(kdc)
    }

    /// Makes a principal with a random key, whose keytab [`Kdc::keytab`] then writes. `options` are
    /// those of `addprinc`.
    ///
    /// # Errors
    ///
    /// As [`Kdc::start`].
    pub fn add(&self, principal: &str, options: &str) -> Result<(), Error> {
        self.admin(&format!("addprinc -randkey {options} {principal}"))
    }

    /// Writes the keys of a principal, as they are, into a file of this name.
    ///
    /// # Errors
    ///
    /// As [`Kdc::start`].
    pub fn keytab(&self, principal: &str, name: &str) -> Result<PathBuf, Error> {
        let path = self.folder.path().join(name);
        self.admin(&format!("ktadd -norandkey -k {} {principal}", path.display()))?;
        Ok(path)
    }

    /// Gets a ticket that is good for so long, as users do, and tells in which file it is.
    ///
    /// # Errors
    ///
    /// As [`Kdc::start`].
    pub fn kinit(&self, principal: &str, keytab: &Path, life: &str) -> Result<PathBuf, Error> {
        let cache = self.file(&format!("{principal}.cache"));
        let (cache_name, keytab) = (cache.display().to_string(), keytab.display().to_string());
        self.run("kinit", &["-l", life, "-k", "-t", &keytab, "-c", &cache_name, principal])?;
        Ok(cache)
    }

    /// An order to the administration, in the language of `kadmin.local`.
    ///
    /// # Errors
    ///
    /// As [`Kdc::start`], and what it complains of.
    pub fn admin(&self, order: &str) -> Result<(), Error> {
        let said = self.run("kadmin.local", &["-r", Self::REALM, "-q", order])?;
        // It ends with 0 whatever happens.
        let complaint = said.lines().find(|line| {
            let line = line.to_ascii_lowercase();
            line.contains(" while ") || line.contains("usage:") || line.contains("invalid")
        });
        match complaint {
            Some(_) => Err(Error::failed(format!("kadmin.local {order}"), &said)),
            None => Ok(()),
        }
    }

    /// What clients read to find this KDC.
    pub fn conf(&self) -> PathBuf {
        self.folder.path().join("krb5.conf")
    }

    /// A file of this name in the KDC's folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Ends the KDC; nobody answers on its port then.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it anew, on its port and with its principals.
    ///
    /// # Errors
    ///
    /// As [`Kdc::start`].
    pub fn restart(&mut self) -> Result<(), Error> {
        self.launch(None)
    }

    /// Starts it anew with another clock than this machine's, in the language of `faketime`: `+1h`.
    ///
    /// # Errors
    ///
    /// As [`Kdc::start`].
    pub fn restart_with_clock(&mut self, offset: &str) -> Result<(), Error> {
        self.launch(Some((&faketime()?, offset)))
    }

    fn launch(&mut self, clock: Option<(&Path, &str)>) -> Result<(), Error> {
        self.process = None;
        let mut command = Command::new(find("krb5kdc")?);
        self.within(command.args(["-n", "-r", Self::REALM]));
        if let Some((library, offset)) = clock {
            command.env("LD_PRELOAD", library).env("FAKETIME", offset);
        }
        let log = fs::File::create(self.file("kdc.out")).map_err(Error::io("making a log"))?;
        let errors = log.try_clone().map_err(Error::io("making a log"))?;
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let started = Supervised::spawn(&mut command).map_err(Error::io("starting the KDC"))?;
        self.process = Some(started);
        let deadline = Instant::now() + START_WITHIN;
        while !answers(self.port) {
            let log = self.file("kdc.out");
            let log = || fs::read_to_string(&log).unwrap_or_default();
            let process = self.process.as_mut().map(Supervised::try_wait);
            if !matches!(process, Some(Ok(None))) {
                return Err(Error::failed("the KDC", &log()));
            }
            if Instant::now() > deadline {
                return Err(Error::timed_out("the KDC", START_WITHIN, &log()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn write_settings(&self) -> std::io::Result<()> {
        let (realm, port, folder) = (Self::REALM, self.port, self.folder.path().display());
        let conf = format!(
            "[libdefaults]\n default_realm = {realm}\n dns_lookup_kdc = false\n rdns = false\n \
             dns_canonicalize_hostname = false\n udp_preference_limit = 1\n\
             [realms]\n {realm} = {{\n  kdc = 127.0.0.1:{port}\n }}\n"
        );
        let kdc = format!(
            "[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n\
             [realms]\n {realm} = {{\n  database_name = {folder}/principal\n  \
             key_stash_file = {folder}/stash\n  acl_file = {folder}/acl\n  \
             max_life = 10h\n  supported_enctypes = aes256-cts:normal aes128-cts:normal \
             aes256-sha2:normal aes128-sha2:normal\n }}\n\
             [logging]\n kdc = FILE:{folder}/kdc.log\n default = FILE:{folder}/other.log\n"
        );
        fs::write(self.conf(), conf)?;
        fs::write(self.file("kdc.conf"), kdc)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String, Error> {
        let mut command = Command::new(find(program)?);
        self.within(command.args(arguments));
        let output = command.stdin(Stdio::null()).output().map_err(Error::io(program))?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        if output.status.success() { Ok(said) } else { Err(Error::failed(program, &said)) }
    }

    /// Has a program read this KDC's files and no others.
    fn within(&self, command: &mut Command) {
        command
            .env("KRB5_CONFIG", self.conf())
            .env("KRB5_KDC_PROFILE", self.file("kdc.conf"))
            .env("KRB5RCACHETYPE", "none")
            .current_dir(self.folder.path());
    }
}

/// Where a program is. Those of administrators are not in everybody's path.
fn find(program: &str) -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(ADMIN.map(|folder| Path::new(folder).into()));
    let found = folders.map(|folder| folder.join(program)).find(|path| path.is_file());
    found.ok_or_else(|| {
        let reason = format!("no {program}; Debian has krb5-kdc, krb5-admin-server and faketime");
        Error::missing(Service::Kerberos, reason)
    })
}

/// The library behind the program `faketime`, which would stand between the KDC and who ends it.
fn faketime() -> Result<PathBuf, Error> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut paths = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    paths.find(|path| path.is_file()).ok_or_else(|| {
        let reason = "no libfaketime.so.1; Debian has faketime";
        Error::missing(Service::Kerberos, reason)
    })
}

/// Says something that is no question, and hears that.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let mut byte = [0];
    stream.write_all(&[0x7f; 4]).is_ok() && stream.read(&mut byte).is_ok()
}

const ADMIN: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/lib/mit/sbin"];
const START_WITHIN: Duration = Duration::from_secs(20);
