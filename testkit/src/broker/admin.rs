//! What a cluster's controller keeps beside topics and groups: settings, access rules, users with
//! passwords, delegation tokens, quotas. In: requests that list and change it; out: their answers.
//! All of it is kept and told; users and tokens are what one logs in by, and nothing else of it is
//! enforced.

pub(crate) mod acls;
pub(crate) mod quotas;
pub(crate) mod replicas;
pub(crate) mod scram;
pub(crate) mod settings;
pub(crate) mod tokens;

use acls::Acls;
use quotas::Quotas;
use scram::ScramUsers;
use settings::Settings;
use tokens::Tokens;

/// Everything of that.
#[derive(Debug, Default)]
pub(crate) struct Admin {
    pub(crate) acls: Acls,
    pub(crate) quotas: Quotas,
    pub(crate) scram: ScramUsers,
    pub(crate) settings: Settings,
    pub(crate) tokens: Tokens,
}

/// Bounds what clients may make a long-running process keep, of each kind.
pub(crate) const MOST_KEPT: usize = 10_000;
