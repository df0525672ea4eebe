//! Documentation of the settings, rendered from [`super::settings`].

use super::settings::{Kind, SECTIONS, Section, Setting};

/// Maximum width of comments in the sample.
const WIDTH: usize = 120;

const PAGE_HEAD: &str = "\
# Configuration

<!-- Written by `cargo xtask docs` from crates/syncd/src/config/settings.rs: change it there. -->

Every setting of `syncd`, as `syncd config settings` prints them. Settings come from their defaults, then from `syncd.toml`
in the working directory or the file that `--config` names, then from the environment: the later wins. Unknown keys are
errors.

- In the environment a list is one text, such as `users,courses`, and an empty variable counts as none.
- Durations are numbers with a transaction, such as `\"30s\"`, `\"2m\"`, `\"1h\"` or `\"7d\"`.
- Of a secret and the `…_file` that holds it, only one may be set.
- `SYNCD_LOG` does what `--log` does, and is not a setting of the file.
- A variable that is a setting in another spelling, such as `SYNCD_SYNC_WORKERS`, is an error.

`syncd config sample` prints a file that has them all, and [crates/syncd/dist/syncd.toml](../crates/syncd/dist/syncd.toml)
is one. `syncd config check` tries what you wrote.
";

const SAMPLE_HEAD: &str = "\
# Every setting of syncd, with its default. What has no default is commented out.
# Each may also come from the environment, which wins: kombo.api_key is SYNCD__KOMBO__API_KEY.
";

/// Renders the documentation page with all settings.
pub(crate) fn page() -> String {
    let mut page = PAGE_HEAD.to_owned();
    for section in SECTIONS {
        page.extend(["\n## `", &head(section), "`\n\n", section.meaning, "\n"]);
        for setting in section.settings {
            page.push_str(&entry(section, setting));
        }
    }
    page
}

/// Renders a configuration file with all settings.
pub(crate) fn sample() -> String {
    let mut sample = SAMPLE_HEAD.to_owned();
    for section in SECTIONS {
        let mark = if section.is_list { "# " } else { "" };
        sample.push('\n');
        if section.is_list {
            sample.push_str(&comment(section.meaning));
        }
        sample.extend([mark, &head(section), "\n"]);
        for setting in section.settings {
            if !section.is_list {
                sample.push_str(&comment(setting.meaning));
            }
            let mark = if setting.default.is_some() { "" } else { "# " };
            let value = setting.kind.toml(setting.default.unwrap_or(setting.example));
            sample.extend([mark, setting.name, " = ", &value, "\n"]);
        }
    }
    sample
}

fn head(section: &Section) -> String {
    if section.is_list { format!("[[{}]]", section.name) } else { format!("[{}]", section.name) }
}

fn entry(section: &Section, setting: &Setting) -> String {
    let key = format!("{}.{}", section.name, setting.name);
    let environment = if section.is_list {
        "no: these are in the file only".to_owned()
    } else {
        format!("`SYNCD__{}`", key.replace('.', "__").to_uppercase())
    };
    let toml = |value| format!("`{}`", setting.kind.toml(value));
    format!(
        "\n### `{key}`\n\n{}\n\n- Type: {}\n- Default: {}\n- Environment: {environment}\n- Example: `{} = {}`\n",
        setting.meaning,
        name(&setting.kind),
        setting.default.map_or_else(|| "none".to_owned(), toml),
        setting.name,
        setting.kind.toml(setting.example),
    )
}

fn name(kind: &Kind) -> String {
    let words = |words: &[&str]| words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ");
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::TextOrTexts => "text, or in the file a list of texts".to_owned(),
        Kind::File => "path of a file".to_owned(),
        Kind::Word(of) => format!("one of {}", words(of)),
        Kind::Words(of) => format!("list of {}", words(of)),
        Kind::Integer => "whole number".to_owned(),
        Kind::Truth => "`true` or `false`".to_owned(),
        Kind::Duration => "duration".to_owned(),
        Kind::Address => "address and port".to_owned(),
    }
}

/// Formats the text as comment lines.
fn comment(text: &str) -> String {
    let mut lines = vec!["#".to_owned()];
    for word in text.replace('`', "").split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("# {word}")),
        }
    }
    lines.join("\n") + "\n"
}
