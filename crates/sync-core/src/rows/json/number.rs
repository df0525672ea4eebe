//! Compares and measures JSON numbers without rounding.

/// The largest number of digits that a number may have without an exponent, unless its text is longer.
const MOST_DIGITS: usize = 500;
/// `PostgreSQL` stores up to 16,383 digits after the decimal point.
const MOST_DIGITS_OF_ANY: usize = 16_000;

/// A decimal number: the digits `0.ddd…` times ten to the power of `point`.
#[derive(Debug, Clone, Copy)]
struct Decimal<'a> {
    is_negative: bool,
    /// Digits before and after the decimal point, without insignificant zeros.
    whole: &'a str,
    fraction: &'a str,
    point: i64,
}

impl<'a> Decimal<'a> {
    /// Returns `None` if the text is not a number, or its exponent is too large for calculations.
    fn read(text: &'a str) -> Option<Self> {
        let (is_negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (digits, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) {
            return None;
        }
        let (mut whole, mut fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let mut point = i64::try_from(whole.len()).ok()?;
        if whole.is_empty() {
            let significant = fraction.trim_start_matches('0');
            point = i64::try_from(fraction.len().checked_sub(significant.len())?).ok()?.checked_neg()?;
            fraction = significant;
        }
        if fraction.is_empty() {
            whole = whole.trim_end_matches('0');
        }
        if whole.is_empty() && fraction.is_empty() {
            return Some(Self { is_negative: false, whole, fraction, point: 0 });
        }
        let exponent: i64 = exponent.parse().ok()?;
        Some(Self { is_negative, whole, fraction, point: point.checked_add(exponent)? })
    }

    fn digits(self) -> impl Iterator<Item = u8> {
        self.whole.bytes().chain(self.fraction.bytes())
    }
}

/// Whether two numbers have the same value, in any notation.
pub(super) fn same_number(left: &str, right: &str) -> bool {
    if left == right {
        return true;
    }
    let (Some(left), Some(right)) = (Decimal::read(left), Decimal::read(right)) else { return false };
    left.is_negative == right.is_negative && left.point == right.point && left.digits().eq(right.digits())
}

/// Whether every database stores the number exactly, and none expands a short exponent into many digits.
pub(super) fn is_moderate(text: &str) -> bool {
    let most = text.len().clamp(MOST_DIGITS, MOST_DIGITS_OF_ANY);
    length(text).is_some_and(|length| length <= most)
}

/// Returns the number of digits without an exponent.
fn length(text: &str) -> Option<usize> {
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let exponent: i64 = exponent.parse().ok()?;
    let before = i64::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let behind = i64::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    usize::try_from(before.max(1).checked_add(behind.max(0))?).ok()
}

/// Returns the number as `serde_json` stores it, if the value is exactly the same.
pub(super) fn exact(text: &str) -> Option<serde_json::Number> {
    let number: serde_json::Number = serde_json::from_str(text).ok()?;
    same_number(&number.to_string(), text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_to_the_last_digit() {
        for (left, right) in [
            ("1", "1.0"),
            ("100", "1e2"),
            ("1E+2", "100.000"),
            ("0.0012", "1.2e-3"),
            ("120", "0.12e3"),
            ("-0", "0"),
            ("0e999999999999999999999", "0.000"),
            ("123456789012345678901", "1.23456789012345678901e20"),
            ("0.12345678901234567890", "0.1234567890123456789"),
            ("1e400", &format!("1{}", "0".repeat(400))),
            ("1e-400", &format!("0.{}1", "0".repeat(399))),
            ("1e999999999", "10e999999998"),
        ] {
            assert!(same_number(left, right) && same_number(right, left), "{left} {right}");
        }
        for (left, right) in [
            ("123456789012345678901", "123456789012345678902"),
            ("0.12345678901234567890", "0.12345678901234567891"),
            ("1", "-1"),
            ("1e400", "1e401"),
            ("1e999999999", "1e999999998"),
            ("10", "1"),
            ("0.1", "0.01"),
            ("1e99999999999999999999", "1e99999999999999999998"),
        ] {
            assert!(!same_number(left, right) && !same_number(right, left), "{left} {right}");
        }
    }

    #[test]
    fn numbers_that_would_grow_are_not_moderate() {
        let long = "7".repeat(10_000);
        for text in ["0", "-1.5e-7", "1e400", "1e-400", "1.7976931348623157e308", "5e-324", "1e-499", &long] {
            assert!(is_moderate(text), "{text}");
        }
        let longer = format!("0.{}", "7".repeat(20_000));
        for text in ["1e500", "1e-501", "1e400000", "0e999999", "-1e999999999", "1e99999999999999999999", &longer] {
            assert!(!is_moderate(text), "{text}");
        }
    }

    #[test]
    fn what_loses_a_digit_is_not_exact() {
        for text in ["0", "-7", "18446744073709551615", "0.1", "1.50", "1e2", "1e300", "123456789.125"] {
            assert!(exact(text).is_some(), "{text}");
        }
        for text in ["123456789012345678901", "0.12345678901234567890", "1e400", "9007199254740993.5"] {
            assert!(exact(text).is_none(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn how_a_number_is_written_does_not_matter(digits in "[0-9]{1,30}", zeros in 0_usize..20, shift in 0_usize..30) {
            let shift = shift.min(digits.len() - 1);
            let (whole, fraction) = digits.split_at(digits.len() - shift);
            let pointed = format!("{whole}.{fraction}{}e{shift}", "0".repeat(zeros));
            proptest::prop_assert!(same_number(&pointed, &digits), "{} {}", pointed, digits);
            let next = format!("{digits}1");
            proptest::prop_assert!(!same_number(&next, &digits) && !same_number(&next, &pointed));
        }
    }
}
