//! Options. In: typed setters, or string pairs as Kafka's own clients spell them; out: a [`Config`]
//! that nobody changes any more. Each option is one row of the table below, from which its field,
//! getter, setter, string key, default and doc are made.

mod group;
pub mod jaas;
mod kerberos;
mod sasl;
mod tls;

use std::fmt;
use std::time::Duration;

use klamm_protocol::assign::Assignor;
use klamm_protocol::records::Compression;

use crate::credentials::{SaslMechanism, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{self, Key, OptionValue, Status};
use crate::secret::Secret;

pub use group::{GroupProtocol, OffsetReset};
pub(crate) use kerberos::{KerberosPlan, KeyPlace};
pub use sasl::TokenHandler;
pub(crate) use sasl::{BearerPlan, Endpoint, Plan, TokenPlace, plan};
pub use tls::{Crypto, HostCheck, StoreType, TlsName, TlsVersion};

/// Makes `Config` and its key table from rows of: doc, name and setter, type, default, string key.
macro_rules! options {
    ($(
        $(#[doc = $doc:literal])+
        $field:ident / $setter:ident: $type:ty = $default:expr, $key:literal;
    )+) => {
        /// Every option of a client. `Default` gives Kafka's defaults, and no bootstrap server.
        #[derive(Clone, PartialEq)]
        pub struct Config {
            bootstrap: Vec<Address>,
            crypto: Option<Crypto>,
            credentials: Option<Source>,
            $($field: $type,)+
        }

        impl Default for Config {
            fn default() -> Self {
                Self {
                    bootstrap: Vec::new(),
                    crypto: None,
                    credentials: None,
                    $($field: $default,)+ }
            }
        }

        impl Config {
            $($(#[doc = $doc])+
            #[doc = concat!("\n\nString key: `", $key, "`.")]
            pub fn $field(&self) -> &$type {
                &self.$field
            }

            $(#[doc = $doc])+
            #[doc = concat!("\n\nString key: `", $key, "`.")]
            #[doc = concat!("Default: `", stringify!($default), "`.")]
            #[must_use]
            pub fn $setter(mut self, value: $type) -> Self {
                self.$field = value;
                self
            }
            )+

            /// Sets one option from its text; `false` if no option has this name.
            fn set(&mut self, name: &str, text: &str) -> Result<bool> {
                match name {
                    $($key => {
                        let form = <$type as OptionValue>::FORM;
                        let value = <$type as OptionValue>::parse(text.trim());
                        self.$field = value.ok_or_else(|| keys::malformed($key, text, form))?;
                    })+
                    _ => return Ok(false),
                }
                Ok(true)
            }
        }

        /// The rows of the options that take effect.
        fn used() -> Vec<Key> {
            let default = Config::default();
            vec![$(Key {
                name: $key,
                default: OptionValue::show(&default.$field),
                form: <$type as OptionValue>::FORM,
                doc: concat!($($doc),+).trim_ascii(),
                status: Status::Used,
            },)+]
        }
    };
}

options! {
    /// The name by which the brokers log and limit this client.
    client_id / with_client_id: String = "klamm".to_owned(), "client.id";
    /// The rack this client stands in, so that a broker may answer from the nearest replica
    /// (KIP-392).
    client_rack / with_client_rack: String = String::new(), "client.rack";
    /// How long one request may take before its connection is given up.
    request_timeout / with_request_timeout: Duration = Duration::from_secs(30),
        "request.timeout.ms";
    /// How long a call may take with all its retries, where it has no time limit of its own.
    api_timeout / with_api_timeout: Duration = Duration::from_secs(60), "default.api.timeout.ms";
    /// How long opening a connection may take, up to the broker's first answer. Java waits 10000
    /// for the TCP connection alone.
    connect_timeout / with_connect_timeout: Duration = Duration::from_secs(5),
        "socket.connection.setup.timeout.ms";
    /// How long opening a connection may take at most: the time for it doubles from failure to
    /// failure at one broker, moved by up to a fifth (KIP-601). Where it is the smaller one, it
    /// holds from the first attempt on.
    connect_timeout_max / with_connect_timeout_max: Duration = Duration::from_secs(30),
        "socket.connection.setup.timeout.max.ms";
    /// The first pause before a broker that failed is tried again; it doubles from failure to
    /// failure, moved by up to a fifth.
    reconnect_backoff / with_reconnect_backoff: Duration = Duration::from_millis(50),
        "reconnect.backoff.ms";
    /// The longest pause before a broker that failed is tried again.
    reconnect_backoff_max / with_reconnect_backoff_max: Duration = Duration::from_secs(1),
        "reconnect.backoff.max.ms";
    /// The first pause before a request is repeated.
    retry_backoff / with_retry_backoff: Duration = Duration::from_millis(100), "retry.backoff.ms";
    /// The longest pause before a request is repeated (KIP-580).
    retry_backoff_max / with_retry_backoff_max: Duration = Duration::from_secs(1),
        "retry.backoff.max.ms";
    /// How old the view of the cluster may grow before it is refreshed unasked.
    metadata_max_age / with_metadata_max_age: Duration = Duration::from_secs(300),
        "metadata.max.age.ms";
    /// Whether the brokers are forgotten and the bootstrap servers asked anew, their names resolved
    /// again, when a broker demands it, answers as one of another cluster, or none has answered for
    /// too long (KIP-899, KIP-1102). The bootstrap servers are then also among those that are tried
    /// when no connection is open.
    metadata_recovery / with_metadata_recovery: MetadataRecovery = MetadataRecovery::Rebootstrap,
        "metadata.recovery.strategy";
    /// How long brokers may fail to answer about metadata before they are forgotten.
    rebootstrap_trigger / with_rebootstrap_trigger: Duration = Duration::from_secs(300),
        "metadata.recovery.rebootstrap.trigger.ms";
    /// How long a connection without requests is kept; -1 keeps it until the broker closes it. Less
    /// than the brokers' own limit (ten minutes by default), so that no request meets a connection
    /// that is being closed.
    max_idle / with_max_idle: Option<Duration> = Some(Duration::from_secs(540)),
        "connections.max.idle.ms";
    /// How many requests may await an answer on one connection. A producer keeps order with up to
    /// five.
    max_in_flight / with_max_in_flight: u32 = 5, "max.in.flight.requests.per.connection";
    /// The largest response taken from a broker, in bytes; librdkafka's name, since Java has no
    /// such limit.
    max_frame / with_max_frame: usize = 100 << 20, "receive.message.max.bytes";
    /// The size of the kernel's receive buffer in bytes; -1 leaves it to the system, which Java
    /// does not by default.
    receive_buffer / with_receive_buffer: Option<i32> = Some(-1), "receive.buffer.bytes";
    /// The size of the kernel's send buffer in bytes; -1 leaves it to the system, which Java does
    /// not by default.
    send_buffer / with_send_buffer: Option<i32> = Some(-1), "send.buffer.bytes";
    /// How bytes travel to every broker, whatever a broker advertises.
    security_protocol / with_security_protocol: SecurityProtocol = SecurityProtocol::Plaintext,
        "security.protocol";
    /// How to log in, where security.protocol says so; GSSAPI (Kerberos) if nothing is said, as in
    /// Java. There is no other way than this one: none is ever negotiated.
    sasl_mechanism / with_sasl_mechanism: Option<SaslMechanism> = None, "sasl.mechanism";
    /// User and password, a delegation token (tokenauth=true), principal and keytab, or where bearer
    /// tokens come from, as a login module in JAAS's language; it is data and names no code. [`Config::with_credentials`]
    /// takes the same from a program.
    sasl_jaas_config / with_sasl_jaas_config: Option<Secret> = None, "sasl.jaas.config";
    /// The first part of the brokers' name in Kerberos; the second is the host that a broker
    /// advertises. serviceName in sasl.jaas.config is the same.
    sasl_kerberos_service / with_sasl_kerberos_service: Option<String> = None,
        "sasl.kerberos.service.name";
    /// The file that says where KDCs are, instead of those in KRB5_CONFIG or /etc/krb5.conf. Java has
    /// the property java.security.krb5.conf for it.
    sasl_kerberos_conf / with_sasl_kerberos_conf: Option<String> = None,
        "sasl.kerberos.krb5.conf";
    /// Whether PLAIN and OAUTHBEARER may be used without TLS, and a token server be asked without:
    /// whoever listens can then log in, too. Java does not ask.
    allow_insecure_sasl / with_allow_insecure_sasl: bool = false, "allow.insecure.sasl";
    /// Where bearer tokens come from: an https:// server (OpenID Connect's client credentials), or a
    /// file:// that somebody else keeps fresh.
    sasl_token_endpoint / with_sasl_token_endpoint: Option<String> = None,
        "sasl.oauthbearer.token.endpoint.url";
    /// The id by which the token server knows this client; clientId in sasl.jaas.config is the same.
    sasl_client_id / with_sasl_client_id: Option<String> = None,
        "sasl.oauthbearer.client.credentials.client.id";
    /// The secret that goes with it; clientSecret in sasl.jaas.config is the same.
    sasl_client_secret / with_sasl_client_secret: Option<Secret> = None,
        "sasl.oauthbearer.client.credentials.client.secret";
    /// What the token is to be good for, in the token server's words; scope in sasl.jaas.config is
    /// the same.
    sasl_scope / with_sasl_scope: Option<String> = None, "sasl.oauthbearer.scope";
    /// Whether id and secret are percent-encoded for the token server, as some demand.
    sasl_header_urlencode / with_sasl_header_urlencode: bool = false,
        "sasl.oauthbearer.header.urlencode";
    /// Java's name for a class that has tokens come from a server or a file; it is accepted, and the
    /// URL alone says so here.
    sasl_token_handler / with_sasl_token_handler: Option<TokenHandler> = None,
        "sasl.login.callback.handler.class";
    /// The form of the store of trusted certificates.
    ssl_truststore_type / with_ssl_truststore_type: StoreType = StoreType::Jks,
        "ssl.truststore.type";
    /// The file with the certificates of the authorities that are trusted, instead of those that
    /// the system trusts. Read again when it changes.
    ssl_truststore_location / with_ssl_truststore_location: Option<String> = None,
        "ssl.truststore.location";
    /// The password of the trust store; without it, its integrity is not checked.
    ssl_truststore_password / with_ssl_truststore_password: Option<Secret> = None,
        "ssl.truststore.password";
    /// The trusted certificates themselves, as PEM, with ssl.truststore.type=PEM.
    ssl_truststore_certificates / with_ssl_truststore_certificates: Option<Secret> = None,
        "ssl.truststore.certificates";
    /// The form of the store of this client's key.
    ssl_keystore_type / with_ssl_keystore_type: StoreType = StoreType::Jks, "ssl.keystore.type";
    /// The file with this client's key and certificates, for brokers that demand them. Read again
    /// when it changes.
    ssl_keystore_location / with_ssl_keystore_location: Option<String> = None,
        "ssl.keystore.location";
    /// The password of the key store, not for PEM.
    ssl_keystore_password / with_ssl_keystore_password: Option<Secret> = None,
        "ssl.keystore.password";
    /// This client's certificate and those between it and its authority's, as PEM, with
    /// ssl.keystore.type=PEM.
    ssl_keystore_certificate_chain / with_ssl_keystore_certificate_chain: Option<Secret> = None,
        "ssl.keystore.certificate.chain";
    /// This client's private key, as PEM, with ssl.keystore.type=PEM.
    ssl_keystore_key / with_ssl_keystore_key: Option<Secret> = None, "ssl.keystore.key";
    /// The password of the private key; that of the key store if it is not set.
    ssl_key_password / with_ssl_key_password: Option<Secret> = None, "ssl.key.password";
    /// The name under which Java looks TLS up. Which versions are spoken says ssl.enabled.protocols.
    ssl_protocol / with_ssl_protocol: TlsName = TlsName::V1_3, "ssl.protocol";
    /// The versions of TLS that may be spoken; of several, the newest that the broker speaks, too.
    ssl_enabled_protocols / with_ssl_enabled_protocols: Vec<TlsVersion> =
        vec![TlsVersion::V1_2, TlsVersion::V1_3], "ssl.enabled.protocols";
    /// The cipher suites that may be used, the favourite first; all safe ones if none is named.
    ssl_cipher_suites / with_ssl_cipher_suites: Vec<String> = Vec::new(), "ssl.cipher.suites";
    /// How a broker's certificate is checked against its host name; it always is.
    ssl_host_check / with_ssl_host_check: HostCheck = HostCheck::Https,
        "ssl.endpoint.identification.algorithm";
    /// Whether asking for a topic to read may create it, where the brokers allow that. Java's
    /// consumer says true.
    allow_auto_create / with_allow_auto_create: bool = false, "allow.auto.create.topics";
    /// The group that a consumer joins, and whose stored offsets are meant where a call names none.
    group_id / with_group_id: Option<String> = None, "group.id";
    /// The name of this member across restarts: its partitions wait for it as long as its session
    /// (KIP-345).
    group_instance_id / with_group_instance_id: Option<String> = None, "group.instance.id";
    /// Who shares a group's partitions out.
    group_protocol / with_group_protocol: GroupProtocol = GroupProtocol::Classic, "group.protocol";
    /// The coordinator's assignor, with group.protocol=consumer; its own choice by default.
    remote_assignor / with_remote_assignor: Option<String> = None, "group.remote.assignor";
    /// The assignors that are offered with group.protocol=classic, the favourite first. Members
    /// keep reading through a rebalance only if all of them are cooperative.
    assignors / with_assignors: Vec<Assignor> = Assignor::DEFAULT.to_vec(),
        "partition.assignment.strategy";
    /// Without a heartbeat for so long a member counts as dead, with group.protocol=classic.
    session_timeout / with_session_timeout: Duration = Duration::from_secs(45),
        "session.timeout.ms";
    /// The time between two heartbeats, with group.protocol=classic.
    heartbeat_interval / with_heartbeat_interval: Duration = Duration::from_secs(3),
        "heartbeat.interval.ms";
    /// How long a consumer may go without being asked for more before it leaves its group; also how
    /// long a rebalance waits for its members.
    max_poll_interval / with_max_poll_interval: Duration = Duration::from_secs(300),
        "max.poll.interval.ms";
    /// Where a consumer begins in a partition without a position, or with one that is no longer in
    /// the log.
    offset_reset / with_offset_reset: OffsetReset = OffsetReset::Latest, "auto.offset.reset";
    /// Whether a consumer commits by itself. Unlike Java's, it then commits only what was
    /// acknowledged, never what was merely handed out.
    auto_commit / with_auto_commit: bool = true, "enable.auto.commit";
    /// How often it does so.
    auto_commit_interval / with_auto_commit_interval: Duration = Duration::from_secs(5),
        "auto.commit.interval.ms";
    /// Whether metrics are sent to the brokers that ask for them (KIP-714): not in this version, and
    /// true is refused. Java says true; here nothing is told about a client unless somebody wants
    /// it. What a client counts is read by `Client::counters`.
    push_metrics / with_push_metrics: bool = false, "enable.metrics.push";

    /// Whether records of open and aborted transactions are read.
    isolation / with_isolation: Isolation = Isolation::ReadUncommitted, "isolation.level";
    /// How many bytes a broker gathers before it answers a fetch.
    fetch_min_bytes / with_fetch_min_bytes: u32 = 1, "fetch.min.bytes";
    /// The most bytes one fetch brings; a larger single batch comes whole.
    fetch_max_bytes / with_fetch_max_bytes: u32 = 50 << 20, "fetch.max.bytes";
    /// How long a broker waits for the least bytes of a fetch.
    fetch_max_wait / with_fetch_max_wait: Duration = Duration::from_millis(500),
        "fetch.max.wait.ms";
    /// The most bytes of one partition that a fetch brings; a larger first batch comes whole.
    partition_fetch_bytes / with_partition_fetch_bytes: u32 = 1 << 20, "max.partition.fetch.bytes";

    /// How many replicas have to have a record before it counts as written.
    acks / with_acks: Acks = Acks::All, "acks";
    /// Whether the broker discards what a retry would write twice. Needs acks=all, and at most five
    /// requests in flight.
    idempotence / with_idempotence: bool = true, "enable.idempotence";
    /// How large a batch grows before it is sent, in bytes before compression.
    batch_size / with_batch_size: usize = 16 << 10, "batch.size";
    /// How long a batch waits for more records.
    linger / with_linger: Duration = Duration::from_millis(5), "linger.ms";
    /// How batches are compressed.
    compression / with_compression: Compression = Compression::None, "compression.type";
    /// gzip's level, 1 to 9.
    gzip_level / with_gzip_level: Option<i32> = None, "compression.gzip.level";
    /// LZ4's level, 1 to 17.
    lz4_level / with_lz4_level: Option<i32> = None, "compression.lz4.level";
    /// Zstandard's level, -131072 to 22.
    zstd_level / with_zstd_level: Option<i32> = None, "compression.zstd.level";
    /// How many bytes of records may wait to be written, over all partitions.
    buffer_memory / with_buffer_memory: usize = 32 << 20, "buffer.memory";
    /// How long appending may wait for memory or metadata.
    max_block / with_max_block: Duration = Duration::from_secs(60), "max.block.ms";
    /// How long a record may take from being appended to its outcome.
    delivery_timeout / with_delivery_timeout: Duration = Duration::from_secs(120),
        "delivery.timeout.ms";
    /// The largest produce request, and so the largest record, in bytes.
    max_request_size / with_max_request_size: usize = 1 << 20, "max.request.size";
    /// How often a batch is sent again within its delivery timeout.
    retries / with_retries: u32 = i32::MAX as u32, "retries";
    /// Whether records with a key are spread as if they had none.
    ignore_keys / with_ignore_keys: bool = false, "partitioner.ignore.keys";
    /// The name under which brokers know a producer of transactions over its restarts. Needs
    /// idempotence.
    transactional_id / with_transactional_id: Option<String> = None, "transactional.id";
    /// After how long without an end a transaction is aborted by its coordinator.
    transaction_timeout / with_transaction_timeout: Duration = Duration::from_secs(60),
        "transaction.timeout.ms";
}

impl Config {
    /// Kafka's defaults with these bootstrap servers, `host:port` separated by commas.
    ///
    /// # Errors
    ///
    /// An address of another form; IPv6 addresses stand in brackets.
    pub fn new(bootstrap: &str) -> Result<Self> {
        Ok(Self { bootstrap: parse_bootstrap(bootstrap)?, ..Self::default() })
    }

    /// Reads string options. A later pair replaces an earlier one of the same key. As in Java,
    /// idempotence gives way to options it does not agree with, unless it is set itself.
    ///
    /// ```
    /// use klamm_client::Config;
    ///
    /// let read = [("bootstrap.servers", "broker:9092"), ("compression.type", "zstd")];
    /// assert!(Config::from_properties(read).is_ok());
    ///
    /// let misspelt = [("bootstrap.servers", "broker:9092"), ("compresion.type", "zstd")];
    /// let error = Config::from_properties(misspelt).unwrap_err();
    /// assert!(error.to_string().contains("did you mean 'compression.type'?"));
    /// ```
    ///
    /// # Errors
    ///
    /// A key nobody knows (the nearest known one is named), a value of the wrong form, a key or
    /// value that this version does not support, options that contradict each other, no bootstrap
    /// server.
    pub fn from_properties<K, V>(properties: impl IntoIterator<Item = (K, V)>) -> Result<Self>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let (mut config, mut chosen) = (Self::default(), false);
        for (name, text) in properties {
            chosen |= name.as_ref() == IDEMPOTENCE;
            config.take(name.as_ref(), text.as_ref())?;
        }
        if !chosen {
            config.idempotence = config.acks == Acks::All && config.max_in_flight <= 5;
        }
        config.check()?;
        Ok(config)
    }

    /// Who encrypts, where the caller chose; otherwise the provider that this crate was built with.
    pub fn crypto(&self) -> Option<&Crypto> {
        self.crypto.as_ref()
    }

    /// Has a [`CryptoProvider`](rustls::crypto::CryptoProvider) of the caller's encrypt. It has no
    /// string key: configuration never names code.
    #[must_use]
    pub fn with_crypto(mut self, provider: impl Into<Crypto>) -> Self {
        self.crypto = Some(provider.into());
        self
    }

    /// Who this client is, where the caller said so; otherwise `sasl.jaas.config` says it.
    pub fn credentials(&self) -> Option<&Source> {
        self.credentials.as_ref()
    }

    /// Logs in by these [`Credentials`](crate::credentials::Credentials), by
    /// [`SharedCredentials`](crate::credentials::SharedCredentials) that are replaced meanwhile, or
    /// by whatever a [`CredentialSource`](crate::credentials::CredentialSource) says at the moment;
    /// `security.protocol` still has to ask for a login.
    #[must_use]
    pub fn with_credentials(mut self, source: impl Into<Source>) -> Self {
        self.credentials = Some(source.into());
        self
    }

    /// Whether passwords and tokens may go over the connections of this client.
    pub(crate) fn may_tell_secrets(&self) -> bool {
        self.security_protocol.is_encrypted() || self.allow_insecure_sasl
    }

    /// The servers to start from; brokers are then met at the addresses they advertise.
    pub fn bootstrap(&self) -> &[Address] {
        &self.bootstrap
    }

    /// Checks what one option cannot know alone; [`crate::Client::connect`] does it too.
    ///
    /// # Errors
    ///
    /// No bootstrap server, idempotence without `acks=all` or with more than five requests in
    /// flight, a transactional id without idempotence, a delivery timeout shorter than one request,
    /// limits of zero, metrics to be pushed, halves of a key store, a login without credentials or
    /// with some that would be sent without encryption.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: &'static str, option: &'static str, hint: &'static str| {
            Err(Error::new(ErrorKind::Config, what).with("option", option).with_hint(hint))
        };
        if self.bootstrap.is_empty() {
            return wrong(
                "no bootstrap server is given",
                BOOTSTRAP,
                "set it to host:port of at least one broker",
            );
        }
        if self.idempotence && self.acks != Acks::All {
            return wrong(
                "an idempotent producer needs acks=all",
                "acks",
                "leave it out, or set enable.idempotence=false",
            );
        }
        if self.idempotence && self.max_in_flight > 5 {
            return wrong(
                "an idempotent producer keeps order only with up to five requests in flight",
                "max.in.flight.requests.per.connection",
                "set it to 5 or less, or set enable.idempotence=false",
            );
        }
        if self.transactional_id.is_some() && !self.idempotence {
            return wrong(
                "a transactional producer has to be idempotent",
                "transactional.id",
                "leave acks and enable.idempotence out, or take it away",
            );
        }
        if self.max_in_flight == 0 {
            return wrong(
                "no request could ever be sent",
                "max.in.flight.requests.per.connection",
                "set it to at least 1",
            );
        }
        if self.push_metrics {
            return wrong(
                "client telemetry (KIP-714) is not supported in this version",
                "enable.metrics.push",
                "leave it out, or set it to false; Client::counters tells what a client counts",
            );
        }
        if self.delivery_timeout < self.request_timeout + self.linger {
            return wrong(
                "a record may take less time than one request",
                "delivery.timeout.ms",
                "set it to at least request.timeout.ms plus linger.ms",
            );
        }
        tls::check(self)?;
        plan(self).map(drop)
    }

    /// Sets one option by its key, or says why it cannot be set.
    pub(crate) fn take(&mut self, name: &str, text: &str) -> Result<()> {
        if name == BOOTSTRAP {
            self.bootstrap = parse_bootstrap(text)?;
            return Ok(());
        }
        if self.set(name, text)? || keys::reason(keys::UNUSED, name).is_some() {
            return Ok(());
        }
        match keys::reason(keys::REFUSED, name) {
            Some(why) => Err(Error::new(ErrorKind::Config, "an option cannot be set")
                .with("option", name)
                .with("because", why)
                .with_hint("take it away")),
            None => Err(keys::unknown(name, all_keys().iter().map(|key| key.name))),
        }
    }
}

/// Not derived, so that a secret among later options has to be shown on purpose.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client = &self.client_id;
        f.debug_struct("Config")
            .field("bootstrap", &self.bootstrap)
            .field("client_id", client)
            .finish_non_exhaustive()
    }
}

/// Every string key: those with an effect, those accepted without one, and those refused. The names
/// of a family end in `*`.
pub fn all_keys() -> Vec<Key> {
    let row = |status: Status| {
        move |(name, doc): &(&'static str, &'static str)| Key {
            name,
            default: String::new(),
            form: "",
            doc,
            status,
        }
    };
    let bootstrap = Key {
        name: BOOTSTRAP,
        default: String::new(),
        form: ADDRESS_FORM,
        doc: "The servers to start from; brokers are then met at the addresses they advertise.",
        status: Status::Used,
    };
    let mut all = vec![bootstrap];
    all.extend(used());
    all.extend(keys::UNUSED.iter().map(row(Status::Unused)));
    all.extend(keys::REFUSED.iter().map(row(Status::Refused)));
    all
}

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// A name or an IP address, an IPv6 one without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How bytes travel to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecurityProtocol {
    /// Without encryption and without a login.
    Plaintext,
    /// Encrypted by TLS; a client may have to show a certificate, and logs in by that alone.
    Ssl,
    /// Without encryption, and with a login (SASL).
    SaslPlaintext,
    /// Encrypted by TLS, and with a login (SASL) inside it.
    SaslSsl,
}

impl SecurityProtocol {
    /// All of them.
    const ALL: [Self; 4] = [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl];

    /// Whether bytes travel encrypted.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether a client logs in by SASL before it asks anything.
    pub fn has_login(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// What a client does that no longer finds its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetadataRecovery {
    /// It keeps to the brokers it knows.
    None,
    /// It starts over from the bootstrap servers.
    Rebootstrap,
}

/// Whether records of open and aborted transactions are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// All records; the latest offset is the high watermark.
    ReadUncommitted,
    /// Only records of committed transactions and of none; the latest offset is the last stable
    /// one.
    ReadCommitted,
}

impl Isolation {
    /// The number by which requests name it.
    pub fn to_wire(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// Who has to have a record before it counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Acks {
    /// Nobody: brokers do not answer, and losses go unnoticed.
    None,
    /// The leader alone.
    Leader,
    /// All replicas in sync.
    All,
}

impl Acks {
    /// The number by which requests name it.
    pub fn to_wire(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

impl OptionValue for SecurityProtocol {
    const FORM: &'static str = "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL";

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.show().eq_ignore_ascii_case(text))
    }

    fn show(&self) -> String {
        let name = match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        };
        name.to_owned()
    }
}

impl OptionValue for MetadataRecovery {
    const FORM: &'static str = "rebootstrap or none";

    fn parse(text: &str) -> Option<Self> {
        // Java reads it without regard to case.
        match text {
            _ if text.eq_ignore_ascii_case("rebootstrap") => Some(Self::Rebootstrap),
            _ if text.eq_ignore_ascii_case("none") => Some(Self::None),
            _ => None,
        }
    }

    fn show(&self) -> String {
        let name = if *self == Self::None { "none" } else { "rebootstrap" };
        name.to_owned()
    }
}

impl OptionValue for Isolation {
    const FORM: &'static str = "read_uncommitted or read_committed";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "read_uncommitted" => Some(Self::ReadUncommitted),
            "read_committed" => Some(Self::ReadCommitted),
            _ => None,
        }
    }

    fn show(&self) -> String {
        let name = if *self == Self::ReadCommitted { "read_committed" } else { "read_uncommitted" };
        name.to_owned()
    }
}

impl OptionValue for Acks {
    const FORM: &'static str = "all, -1, 1 or 0";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "all" | "-1" => Some(Self::All),
            "1" => Some(Self::Leader),
            "0" => Some(Self::None),
            _ => None,
        }
    }

    fn show(&self) -> String {
        let name = match self {
            Self::None => "0",
            Self::Leader => "1",
            Self::All => "all",
        };
        name.to_owned()
    }
}

impl OptionValue for Compression {
    const FORM: &'static str = "none, gzip, snappy, lz4 or zstd";

    fn parse(text: &str) -> Option<Self> {
        CODECS.iter().find(|(name, _)| *name == text).map(|(_, codec)| *codec)
    }

    fn show(&self) -> String {
        CODECS.iter().find(|(_, codec)| codec == self).map_or("none", |(name, _)| *name).to_owned()
    }
}

/// Reads `host:port,...`; a listener's name before `://` is allowed, as in Java, and ignored.
fn parse_bootstrap(text: &str) -> Result<Vec<Address>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let parse =
        |part| parse_address(part).ok_or_else(|| keys::malformed(BOOTSTRAP, part, ADDRESS_FORM));
    parts.map(parse).collect()
}

/// Reads `host:port`. A port of 0 and a bare IPv6 address are refused: nobody could connect.
fn parse_address(text: &str) -> Option<Address> {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = match bare {
        Some(inner) => inner,
        None if host.contains([':', '[', ']', '/', ' ']) => return None,
        None => host,
    };
    let port = port.parse().ok().filter(|port| *port > 0)?;
    (!host.is_empty()).then(|| Address { host: host.to_owned(), port })
}

const BOOTSTRAP: &str = "bootstrap.servers";
const IDEMPOTENCE: &str = "enable.idempotence";
const ADDRESS_FORM: &str = "host:port, several separated by commas, IPv6 addresses in brackets";
const CODECS: &[(&str, Compression)] = &[
    ("none", Compression::None),
    ("gzip", Compression::Gzip),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
];

#[cfg(test)]
mod tests;
