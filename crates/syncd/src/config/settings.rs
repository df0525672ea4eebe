//! Every setting: its type, its default, what it means. Defaults come from here, and so do the sample configuration and
//! the reference.
//!
//! A new setting is a field in [`super::Config`] and a row here; then `cargo xtask docs`.

use super::DEFAULT_STORE;

/// A table of the configuration.
pub(super) struct Section {
    pub(super) name: &'static str,
    /// Whether there may be any number of it, `[[name]]`.
    pub(super) is_list: bool,
    pub(super) meaning: &'static str,
    pub(super) settings: &'static [Setting],
}

pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// As in the environment, and none where nothing is set.
    pub(super) default: Option<&'static str>,
    /// As in the environment.
    pub(super) example: &'static str,
    pub(super) meaning: &'static str,
}

/// What a value must be.
pub(super) enum Kind {
    Text,
    /// Of a setting that takes one secret or several.
    TextOrTexts,
    File,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// Any of a few words.
    Words(&'static [&'static str]),
    Integer,
    Truth,
    Duration,
    Address,
}

impl Kind {
    /// The value as the file has it.
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
    Section { name: "kombo", is_list: false, meaning: "Where records come from.", settings: KOMBO },
    Section { name: "store", is_list: false, meaning: "Where the mirror is.", settings: STORE },
    Section { name: "sync", is_list: false, meaning: "What is fetched, when and how.", settings: SYNC },
    Section { name: "changes", is_list: false, meaning: "The change log.", settings: CHANGES },
    Section {
        name: "delivery",
        is_list: false,
        meaning: "Where `syncd run` sends what is added to the change log.",
        settings: DELIVERY,
    },
    Section { name: "server", is_list: false, meaning: "What `syncd run` listens on.", settings: SERVER },
    Section {
        name: "integrations",
        is_list: true,
        meaning: "Integrations to mirror. Those that webhooks announce need not be listed.",
        settings: INTEGRATIONS,
    },
];

const KOMBO: &[Setting] = &[
    Setting {
        name: "api_key",
        kind: Kind::Text,
        default: None,
        example: "…",
        meaning: "The API key of your Kombo environment. Needed, here or in the file.",
    },
    Setting {
        name: "api_key_file",
        kind: Kind::File,
        default: None,
        example: "/etc/syncd/kombo.key",
        meaning: "A file that holds the key alone.",
    },
    Setting {
        name: "region",
        kind: Kind::Word(&["eu", "us"]),
        default: Some("eu"),
        example: "us",
        meaning: "Where your Kombo account is: `\"eu\"` or `\"us\"`.",
    },
    Setting {
        name: "base_url",
        kind: Kind::Text,
        default: None,
        example: "http://127.0.0.1:9000/v1",
        meaning: "Another address in the place of the region's, such as the sandbox's.",
    },
    Setting {
        name: "page_size",
        kind: Kind::Integer,
        default: Some("250"),
        example: "100",
        meaning: "Records a page, 1 to 250. Kombo advises 250.",
    },
    Setting {
        name: "max_requests_per_minute",
        kind: Kind::Integer,
        default: Some("0"),
        example: "300",
        meaning: "Requests a minute at most, of all daemons and `syncd sync` together. `0`: as many as Kombo's rate-limit \
                  headers allow.",
    },
    Setting {
        name: "timeout",
        kind: Kind::Duration,
        default: Some("30s"),
        example: "1m",
        meaning: "How long one answer of Kombo's may take.",
    },
    Setting {
        name: "webhook_secret",
        kind: Kind::TextOrTexts,
        default: None,
        example: "…",
        meaning: "What Kombo signs webhooks with. `syncd run` needs it, here or in the file. While it is being changed: \
                  `[\"new\", \"old\"]`.",
    },
    Setting {
        name: "webhook_secret_file",
        kind: Kind::File,
        default: None,
        example: "/etc/syncd/webhook.secret",
        meaning: "A file that holds the secret, or several, one a line.",
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
        meaning: "A file that holds the URL, in the place of `url`. Read again when the server refuses the password.",
    },
    Setting {
        name: "connections",
        kind: Kind::Integer,
        default: Some("15"),
        example: "8",
        meaning: "How many connections to PostgreSQL one process opens at most, 4 to 500. A few of them are for webhooks \
                  alone.",
    },
];

const SYNC: &[Setting] = &[
    Setting {
        name: "endpoints",
        kind: Kind::Words(&["users", "courses", "course-progressions", "skills"]),
        default: Some("users,courses,course-progressions"),
        example: "users,courses,course-progressions,skills",
        meaning: "What to mirror. There is also `\"skills\"`.",
    },
    Setting {
        name: "mode",
        kind: Kind::Word(&["planned", "simple"]),
        default: Some("planned"),
        example: "simple",
        meaning: "`\"planned\"`: a webhook calls only the endpoints that show what changed; `\"simple\"`: it calls them all.",
    },
    Setting {
        name: "full_every",
        kind: Kind::Duration,
        default: Some("7d"),
        example: "1d",
        meaning: "How often everything is fetched, to repair what webhooks missed. At least `\"1m\"`.",
    },
    Setting {
        name: "overlap",
        kind: Kind::Duration,
        default: Some("2m"),
        example: "10m",
        meaning: "How far each delta reaches back behind the start of the fetch before it.",
    },
    Setting {
        name: "blind_full_min_interval",
        kind: Kind::Duration,
        default: Some("1h"),
        example: "6h",
        meaning: "How long after a full fetch for what deltas do not show the next one may follow. Deltas of `courses` do \
                  not show changes of providers, skills and skill assignments; deltas of `course-progressions` do not \
                  show changes of users, courses and revisions, which matters where the endpoint that lists those is off.",
    },
    Setting {
        name: "lease",
        kind: Kind::Duration,
        default: Some("30s"),
        example: "1m",
        meaning: "How long the work of a process that fell silent waits before another takes it over. At least `\"1s\"`.",
    },
    Setting {
        name: "tombstones",
        kind: Kind::Word(&["mirror", "keep"]),
        default: Some("mirror"),
        example: "keep",
        meaning: "Deleted records: `\"mirror\"` takes over that Kombo clears their values, `\"keep\"` keeps the last values.",
    },
    Setting {
        name: "change_values",
        kind: Kind::Truth,
        default: Some("false"),
        example: "true",
        meaning: "Whether the change log keeps old and new values, which are personal data.",
    },
    Setting {
        name: "workers",
        kind: Kind::Integer,
        default: Some("8"),
        example: "16",
        meaning: "How many fetches run at a time, 1 to 256. Full fetches take half at most, and so does each of several integrations.",
    },
    Setting {
        name: "poll_every",
        kind: Kind::Duration,
        default: Some("6h"),
        example: "1h",
        meaning: "The longest time without a fetch before a delta of an endpoint is requested, even without a webhook: the \
            most that a lost webhook costs. Each endpoint waits up to an eighth less. `\"0s\"`: never.",
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
    meaning: "How long the change log is kept. `\"0s\"`: for ever.",
}];

const DELIVERY: &[Setting] = &[
    Setting {
        name: "url",
        kind: Kind::Text,
        default: None,
        example: "https://example.org/changes",
        meaning: "An address of yours, `http` or `https`, that changes are posted to. Without it they are not.",
    },
    Setting {
        name: "secret",
        kind: Kind::Text,
        default: None,
        example: "…",
        meaning: "What deliveries are signed with. Needed with `url`, here or in the file.",
    },
    Setting {
        name: "secret_file",
        kind: Kind::File,
        default: None,
        example: "/etc/syncd/delivery.secret",
        meaning: "A file that holds the secret alone.",
    },
    Setting {
        name: "timeout",
        kind: Kind::Duration,
        default: Some("10s"),
        example: "30s",
        meaning: "How long one answer may take, `\"5m\"` at most.",
    },
    Setting {
        name: "batch",
        kind: Kind::Integer,
        default: Some("100"),
        example: "1",
        meaning: "Entries in one delivery at most, 1 to 1000.",
    },
    Setting {
        name: "give_up_after",
        kind: Kind::Duration,
        default: Some("1d"),
        example: "6h",
        meaning: "How long one delivery is tried before it is set aside as a dead letter. Shorter than `changes.keep_for`.",
    },
];

const SERVER: &[Setting] = &[
    Setting {
        name: "webhooks",
        kind: Kind::Address,
        default: Some("0.0.0.0:8080"),
        example: "127.0.0.1:8080",
        meaning: "Where webhooks come in: `POST /webhooks/kombo`.",
    },
    Setting {
        name: "operations",
        kind: Kind::Address,
        default: Some("127.0.0.1:9090"),
        example: "10.0.0.5:9090",
        meaning: "Where health, metrics and the status page are: `/healthz`, `/readyz`, `/metrics`, `/`. For your own \
                  network only.",
    },
    Setting {
        name: "operations_token",
        kind: Kind::Text,
        default: None,
        example: "at least 16 characters",
        meaning: "What the status page asks for, 16 characters or more. Without it everybody there may look, and nobody may \
                  act.",
    },
    Setting {
        name: "operations_token_file",
        kind: Kind::File,
        default: None,
        example: "/etc/syncd/operations.token",
        meaning: "A file that holds the token.",
    },
    Setting {
        name: "metrics_integrations",
        kind: Kind::Integer,
        default: Some("20"),
        example: "1000",
        meaning: "How many integrations have metrics of their own: those furthest behind. All others count in the aggregates.",
    },
];

const INTEGRATIONS: &[Setting] = &[Setting {
    name: "id",
    kind: Kind::Text,
    default: None,
    example: "sandbox:7C9M5sXAQx2cNMpVHLojrFpL",
    meaning: "As Kombo names it.",
}];

/// The defaults as a configuration.
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

/// Whether only one of a setting and a file that holds it may be set: the default is taken if neither is.
fn waits_for_its_file(section: &Section, setting: &Setting) -> bool {
    section.settings.iter().any(|other| other.name.strip_suffix("_file") == Some(setting.name))
}
