//! All settings with type, default and meaning. They are the source of the defaults, the sample configuration and the
//! reference.
//!
//! To add a setting, add a field in [`super::Config`] and a row here, and run `cargo xtask docs`.

use kombo_model::catalogue::{ENABLED_ENDPOINTS, ENDPOINT_NAMES};

use super::DEFAULT_STORE;

/// A table of the configuration.
pub(super) struct Section {
    pub(super) name: &'static str,
    /// Whether it may be repeated, as `[[name]]`.
    pub(super) is_list: bool,
    pub(super) meaning: &'static str,
    pub(super) settings: &'static [Setting],
}

pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// In the form of the environment; `None` without a default.
    pub(super) default: Option<&'static str>,
    /// In the form of the environment.
    pub(super) example: &'static str,
    pub(super) meaning: &'static str,
}

/// Type of a value.
pub(super) enum Kind {
    Text,
    /// One secret or several.
    TextOrTexts,
    File,
    /// One word of a list.
    Word(&'static [&'static str]),
    /// Any words of a list.
    Words(&'static [&'static str]),
    Integer,
    Truth,
    Duration,
    Address,
}

impl Kind {
    /// Formats the value for the file.
    pub(super) fn toml(&self, value: &str) -> String {
        match self {
            Self::Text | Self::TextOrTexts | Self::File | Self::Word(_) | Self::Duration | Self::Address => {
                format!("\"{value}\"")
            }
            Self::Words(_) => {
                let words: Vec<String> = value.split(',').map(|word| format!("\"{word}\"")).collect();
                format!("[{}]", words.join(", "))
            }
            Self::Integer | Self::Truth => value.to_owned(),
        }
    }
}

pub(super) const SECTIONS: &[Section] = &[
    Section { name: "kombo", is_list: false, meaning: "The connection to Kombo.", settings: KOMBO },
    Section { name: "store", is_list: false, meaning: "The database of the mirror.", settings: STORE },
    Section { name: "sync", is_list: false, meaning: "Fetching: endpoints, times, workers.", settings: SYNC },
    Section { name: "changes", is_list: false, meaning: "The change log.", settings: CHANGES },
    Section {
        name: "delivery",
        is_list: false,
        meaning: "Deliveries: `syncd run` posts new entries of the change log to your service.",
        settings: DELIVERY,
    },
    Section { name: "server", is_list: false, meaning: "The addresses that `syncd run` listens on.", settings: SERVER },
    Section {
        name: "integrations",
        is_list: true,
        meaning: "Integrations to mirror. Integrations that webhooks announce need no entry.",
        settings: INTEGRATIONS,
    },
];

const KOMBO: &[Setting] = &[
    Setting {
        name: "api_key",
        kind: Kind::Text,
        default: None,
        example: "…",
        meaning: "The API key of your Kombo environment. Required, here or in `api_key_file`.",
    },
    Setting {
        name: "api_key_file",
        kind: Kind::File,
        default: None,
        example: "/etc/syncd/kombo.key",
        meaning: "A file that contains only the key.",
    },
    Setting {
        name: "region",
        kind: Kind::Word(&["eu", "us"]),
        default: Some("eu"),
        example: "us",
        meaning: "The region of your Kombo account: `\"eu\"` or `\"us\"`.",
    },
    Setting {
        name: "base_url",
        kind: Kind::Text,
        default: None,
        example: "http://127.0.0.1:9000/v1",
        meaning: "An API address that replaces the region's, such as the sandbox's.",
    },
    Setting {
        name: "page_size",
        kind: Kind::Integer,
        default: Some("250"),
        example: "100",
        meaning: "Records per page, 1 to 250. Kombo recommends 250.",
    },
    Setting {
        name: "max_requests_per_minute",
        kind: Kind::Integer,
        default: Some("0"),
        example: "300",
        meaning: "The maximum of requests per minute, shared by all daemons and `syncd sync`. `0`: only Kombo's \
                          rate-limit headers limit them.",
    },
    Setting {
        name: "timeout",
        kind: Kind::Duration,
        default: Some("30s"),
        example: "1m",
        meaning: "The timeout for one answer from Kombo.",
    },
    Setting {
        name: "webhook_secret",
        kind: Kind::TextOrTexts,
        default: None,
        example: "…",
        meaning: "The secret that Kombo signs webhooks with. `syncd run` requires it, here or in \
                          `webhook_secret_file`. During a rotation, list both: `[\"new\", \"old\"]`.",
    },
    Setting {
        name: "webhook_secret_file",
        kind: Kind::File,
        default: None,
        example: "/etc/syncd/webhook.secret",
        meaning: "A file that contains the secret, or several, one per line.",
    },
];

const STORE: &[Setting] = &[
    Setting {
        name: "url",
        kind: Kind::Text,
        default: Some(DEFAULT_STORE),
        example: "postgres://syncd:password@db.example.org/syncd?sslmode=require",
        meaning: "The database: `sqlite://FILE` or `postgres://USER:PASSWORD@HOST/DATABASE?sslmode=require`.",
    },
    Setting {
        name: "url_file",
        kind: Kind::File,
        default: None,
        example: "/etc/syncd/store.url",
        meaning: "A file that contains the URL, instead of `url`. It is read again when the server refuses the \
                          password.",
    },
    Setting {
        name: "connections",
        kind: Kind::Integer,
        default: Some("15"),
        example: "8",
        meaning: "The maximum of connections to PostgreSQL per process, 4 to 500. A few are reserved for webhooks.",
    },
    Setting {
        name: "partitions",
        kind: Kind::Integer,
        default: Some("0"),
        example: "16",
        meaning: "The partitions of each table of the mirror in PostgreSQL, by a hash of the integration: 2 to 1024, or 0 for \
                  plain tables. It applies to empty tables. `syncd migrate --partitions N` partitions tables with rows.",
    },
];

const SYNC: &[Setting] = &[
    Setting {
        name: "endpoints",
        kind: Kind::Words(ENDPOINT_NAMES),
        default: Some(ENABLED_ENDPOINTS),
        example: "lms/users,lms/courses,lms/course-progressions,lms/skills",
        meaning: "The endpoints to mirror. Each integration has those of its category. The last part of a name, such as \
                  `\"users\"`, stands for the endpoints of all categories that have it.",
    },
    Setting {
        name: "mode",
        kind: Kind::Word(&["planned", "simple"]),
        default: Some("planned"),
        example: "simple",
        meaning: "`\"planned\"`: a webhook fetches only the endpoints that show the changed models. `\"simple\"`: it \
                          fetches all endpoints.",
    },
    Setting {
        name: "full_every",
        kind: Kind::Duration,
        default: Some("7d"),
        example: "1d",
        meaning: "The interval between full fetches, which repair what webhooks missed. At least `\"1m\"`.",
    },
    Setting {
        name: "overlap",
        kind: Kind::Duration,
        default: Some("2m"),
        example: "10m",
        meaning: "How far each delta reaches back before the start of the previous fetch.",
    },
    Setting {
        name: "blind_full_min_interval",
        kind: Kind::Duration,
        default: Some("1h"),
        example: "6h",
        meaning: "The minimum interval between full fetches that a webhook requests because deltas do not show the \
                          change. Deltas of `courses` do not show changes of providers, skills and skill \
                          assignments. Deltas of `course-progressions` do not show changes of users, courses and \
                          revisions, which matters if their own endpoint is off.",
    },
    Setting {
        name: "lease",
        kind: Kind::Duration,
        default: Some("30s"),
        example: "1m",
        meaning: "How long a lease lasts: after that, another process takes over the work of one that stopped \
                          responding. At least `\"1s\"`.",
    },
    Setting {
        name: "tombstones",
        kind: Kind::Word(&["mirror", "keep"]),
        default: Some("mirror"),
        example: "keep",
        meaning: "Deleted records, whose values Kombo clears: `\"mirror\"` clears them too, `\"keep\"` keeps the \
                          last values.",
    },
    Setting {
        name: "change_values",
        kind: Kind::Truth,
        default: Some("false"),
        example: "true",
        meaning: "Whether the change log stores old and new values, which are personal data.",
    },
    Setting {
        name: "workers",
        kind: Kind::Integer,
        default: Some("8"),
        example: "16",
        meaning: "The number of concurrent fetches, 1 to 256. Full fetches use at most half of them, and so does \
                          each of several integrations.",
    },
    Setting {
        name: "poll_every",
        kind: Kind::Duration,
        default: Some("6h"),
        example: "1h",
        meaning: "After this time without a fetch, a delta of the endpoint is requested even without a webhook. It \
                          bounds the delay that a lost webhook causes. Each endpoint waits up to an eighth less. \
                          `\"0s\"`: never.",
    },
    Setting {
        name: "accept_unknown",
        kind: Kind::Truth,
        default: Some("true"),
        example: "false",
        meaning: "Whether integrations that a webhook announces are registered and loaded.",
    },
];

const CHANGES: &[Setting] = &[Setting {
    name: "keep_for",
    kind: Kind::Duration,
    default: Some("30d"),
    example: "90d",
    meaning: "How long entries of the change log are kept. `\"0s\"`: forever.",
}];

const DELIVERY: &[Setting] = &[
    Setting {
        name: "url",
        kind: Kind::Text,
        default: None,
        example: "https://example.org/changes",
        meaning: "Your `http` or `https` address, to which changes are posted. Without it nothing is delivered.",
    },
    Setting {
        name: "secret",
        kind: Kind::Text,
        default: None,
        example: "…",
        meaning: "The secret that signs deliveries. Required with `url`, here or in `secret_file`.",
    },
    Setting {
        name: "secret_file",
        kind: Kind::File,
        default: None,
        example: "/etc/syncd/delivery.secret",
        meaning: "A file that contains only the secret.",
    },
    Setting {
        name: "timeout",
        kind: Kind::Duration,
        default: Some("10s"),
        example: "30s",
        meaning: "The timeout for one answer, at most `\"5m\"`.",
    },
    Setting {
        name: "batch",
        kind: Kind::Integer,
        default: Some("100"),
        example: "1",
        meaning: "The maximum of entries per delivery, 1 to 1000.",
    },
    Setting {
        name: "give_up_after",
        kind: Kind::Duration,
        default: Some("1d"),
        example: "6h",
        meaning: "How long a delivery is retried before it becomes a dead letter. Must be shorter than \
                          `changes.keep_for`.",
    },
];

const SERVER: &[Setting] = &[
    Setting {
        name: "webhooks",
        kind: Kind::Address,
        default: Some("0.0.0.0:8080"),
        example: "127.0.0.1:8080",
        meaning: "The address for webhooks: `POST /webhooks/kombo`.",
    },
    Setting {
        name: "operations",
        kind: Kind::Address,
        default: Some("127.0.0.1:9090"),
        example: "10.0.0.5:9090",
        meaning: "The address of health, metrics and the status page: `/healthz`, `/readyz`, `/metrics`, `/`. Expose \
                          it to your own network only.",
    },
    Setting {
        name: "operations_token",
        kind: Kind::Text,
        default: None,
        example: "at least 16 characters",
        meaning: "The token that the status page asks for, at least 16 characters. Without it, everyone who can \
                          reach the page can read it, and its actions are off.",
    },
    Setting {
        name: "operations_token_file",
        kind: Kind::File,
        default: None,
        example: "/etc/syncd/operations.token",
        meaning: "A file that contains the token.",
    },
    Setting {
        name: "metrics_integrations",
        kind: Kind::Integer,
        default: Some("20"),
        example: "1000",
        meaning: "The number of integrations with their own metrics: those furthest behind. Aggregates count all of \
                          them.",
    },
];

const INTEGRATIONS: &[Setting] = &[Setting {
    name: "id",
    kind: Kind::Text,
    default: None,
    example: "sandbox:7C9M5sXAQx2cNMpVHLojrFpL",
    meaning: "The id at Kombo.",
}];

/// Renders the defaults as a configuration.
pub(super) fn defaults() -> String {
    let mut text = String::new();
    for section in SECTIONS.iter().filter(|section| !section.is_list) {
        text.extend(["[", section.name, "]\n"]);
        for setting in section.settings.iter().filter(|setting| !waits_for_its_file(section, setting)) {
            if let Some(default) = setting.default {
                text.extend([setting.name, " = ", &setting.kind.toml(default), "\n"]);
            }
        }
    }
    text
}

/// Whether a setting and its file exclude each other: the default applies if neither is set.
fn waits_for_its_file(section: &Section, setting: &Setting) -> bool {
    section.settings.iter().any(|other| other.name.strip_suffix("_file") == Some(setting.name))
}
