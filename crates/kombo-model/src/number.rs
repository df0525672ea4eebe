//! Reads numbers without rounding them.

/// The reason why a column cannot hold a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotHeld {
    #[error("not a number")]
    NoNumber,
    #[error("not a whole number of 64 bits")]
    NoInteger,
    #[error("a number that a double does not hold exactly")]
    Inexact,
}

/// Reads a JSON number, or a text that is one, as a whole number.
pub(crate) fn integer(json: &str) -> Result<i64, NotHeld> {
    let text = bare(json)?;
    let decimal = Decimal::parse(text).ok_or(NotHeld::NoNumber)?;
    decimal.to_integer().ok_or(NotHeld::NoInteger)
}

/// Reads a JSON number, or a text that is one, as a double. It must have the same decimal digits.
pub(crate) fn double(json: &str) -> Result<f64, NotHeld> {
    let text = bare(json)?;
    let decimal = Decimal::parse(text).ok_or(NotHeld::NoNumber)?;
    let number: f64 = text.parse().map_err(|_| NotHeld::NoNumber)?;
    if number.is_finite() && Decimal::parse(&format!("{number:e}")).is_some_and(|held| held == decimal) {
        // Negative zero is zero.
        Ok(if number == 0.0 { 0.0 } else { number })
    } else {
        Err(NotHeld::Inexact)
    }
}

/// Returns the number in a JSON text, or JSON itself.
fn bare(json: &str) -> Result<&str, NotHeld> {
    match json.strip_prefix('"') {
        None => Ok(json),
        Some(text) => text.strip_suffix('"').filter(|text| !text.contains('\\')).ok_or(NotHeld::NoNumber),
    }
}

/// A decimal number: its digits without leading and trailing zeros, and the power of ten of the last digit.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Parses the grammar of JSON numbers.
    fn parse(text: &str) -> Option<Self> {
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (mantissa, ""),
        };
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) {
            return None;
        }
        let digits = [whole, fraction].concat();
        let trimmed = digits.trim_end_matches('0');
        let dropped = i64::try_from(digits.len() - trimmed.len()).ok()?;
        let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(dropped)?;
        let trimmed = trimmed.trim_start_matches('0').to_owned();
        if trimmed.is_empty() {
            return Some(Self { is_negative: false, digits: trimmed, exponent: 0 });
        }
        Some(Self { is_negative, digits: trimmed, exponent })
    }

    fn to_integer(&self) -> Option<i64> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let zeros = usize::try_from(self.exponent).ok().filter(|zeros| *zeros < 20)?;
        let sign = if self.is_negative { "-" } else { "" };
        format!("{sign}{}{}", self.digits, "0".repeat(zeros)).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_exactly_or_not_at_all() {
        for (json, number) in [
            ("0", 0.0),
            ("-0", 0.0),
            ("0.1", 0.1),
            ("\"0.10\"", 0.1),
            ("1e3", 1_000.0),
            ("1E+3", 1_000.0),
            ("-12.500", -12.5),
            ("9007199254740991", 9_007_199_254_740_991.0),
            ("1e22", 1e22),
            ("5e-324", 5e-324),
        ] {
            assert_eq!(double(json), Ok(number), "{json}");
        }
        for json in ["0.12345678901234567890", "123456789012345678901", "1e400", "-1e400", "1e-400", "9007199254740993"]
        {
            assert_eq!(double(json), Err(NotHeld::Inexact), "{json}");
        }
        for json in
            ["true", "\"\"", "\"1,5\"", "\"NaN\"", "\"inf\"", "[1]", "{}", "\"1\\u0030\"", "\"+1\"", "\".5\"", "\"1.\""]
        {
            assert_eq!(double(json), Err(NotHeld::NoNumber), "{json}");
            assert_eq!(integer(json), Err(NotHeld::NoNumber), "{json}");
        }
    }

    #[test]
    fn whole_numbers_may_be_written_as_decimals() {
        for (json, number) in [
            ("0", 0),
            ("-0.0", 0),
            ("12", 12),
            ("12.0", 12),
            ("1.2e1", 12),
            ("\"-7\"", -7),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("120e-1", 12),
        ] {
            assert_eq!(integer(json), Ok(number), "{json}");
        }
        for json in ["1.5", "9223372036854775808", "1e19", "1e400", "1e9223372036854775807", "1e-1"] {
            assert_eq!(integer(json), Err(NotHeld::NoInteger), "{json}");
        }
    }
}
