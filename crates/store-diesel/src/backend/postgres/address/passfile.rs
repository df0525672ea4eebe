//! Password files in libpq's format: lines of `host:port:database:user:password`, where `*` matches anything.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Returns the password of the first matching line. `Err` contains the reason if the file cannot be used.
pub(super) fn password(file: &Path, wanted: [&str; 4]) -> Result<Option<String>, String> {
    let unreadable = |error: std::io::Error| format!("cannot read {}: {error}", file.display());
    let mode = fs::metadata(file).map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!("others may read {}: chmod 600", file.display()));
    }
    let text = fs::read_to_string(file).map_err(unreadable)?;
    Ok(text.lines().find_map(|line| password_in(line, wanted)))
}

fn password_in(line: &str, wanted: [&str; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => fields.last_mut()?.extend(characters.next()),
            ':' => fields.push(String::new()),
            c => fields.last_mut()?.push(c),
        }
    }
    let (password, fields) = fields.split_last()?;
    let fits = fields.len() == wanted.len() && fields.iter().zip(wanted).all(|(field, it)| field == "*" || field == it);
    fits.then(|| password.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits() {
        let wanted = ["db.example.org", "5432", "syncd", "me"];
        for (line, password) in [
            ("db.example.org:5432:syncd:me:secret", Some("secret")),
            ("*:*:*:*:se\\:cr\\\\et", Some("se:cr\\et")),
            ("*:*:*:*:", Some("")),
            ("*:5433:*:*:secret", None),
            ("*:*:*:you:secret", None),
            ("#*:*:*:*:secret", None),
            ("*:*:*:secret", None),
            ("", None),
        ] {
            assert_eq!(password_in(line, wanted).as_deref(), password, "{line}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pass");
        fs::write(&file, "*:*:*:*:one\n*:*:*:*:two\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(password(&file, [""; 4]).unwrap_err().contains("chmod 600"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(password(&file, [""; 4]), Ok(Some("one".to_owned())));
        assert!(password(&folder.path().join("none"), [""; 4]).unwrap_err().contains("cannot read"));
    }
}
