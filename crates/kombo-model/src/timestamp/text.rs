//! The fixed-width text of a time, `2022-08-07T14:01:29.196Z`. Every record has several, so this form is read and
//! written without a calendar library, which must handle every other form.

const MILLIS_PER_DAY: i64 = 86_400_000;
/// The separators between the numbers.
const SHAPE: &[u8; 24] = b"0000-00-00T00:00:00.000Z";

/// Parses the milliseconds since 1970, if the text has this form. A leap second (`:60`) is not accepted.
pub(super) fn read(text: &[u8]) -> Option<i64> {
    let text: &[u8; 24] = text.try_into().ok()?;
    let fits = text.iter().zip(SHAPE).all(|(found, shape)| match shape {
        b'0' => found.is_ascii_digit(),
        mark => found == mark,
    });
    if !fits {
        return None;
    }
    let [y1, y2, y3, y4, _, m1, m2, _, d1, d2, _, h1, h2, _, n1, n2, _, s1, s2, _, f1, f2, f3, _] = *text;
    let number = |digits: &[u8]| digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    let (year, month, day) = (number(&[y1, y2, y3, y4]), number(&[m1, m2]), number(&[d1, d2]));
    let (hour, minute, second) = (number(&[h1, h2]), number(&[n1, n2]), number(&[s1, s2]));
    let in_range = (1..=12).contains(&month) && (1..=days_of_month(year, month)).contains(&day);
    if !in_range || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = (hour * 60 + minute) * 60 + second;
    Some(days_since_1970(year, month, day) * MILLIS_PER_DAY + seconds * 1_000 + number(&[f1, f2, f3]))
}

/// Formats a time within the years 0 to 9999.
pub(super) fn write(millis: i64) -> [u8; 24] {
    let (days, of_day) = (millis.div_euclid(MILLIS_PER_DAY), millis.rem_euclid(MILLIS_PER_DAY));
    let (year, month, day) = date(days);
    let (seconds, fraction) = (of_day / 1_000, of_day % 1_000);
    let mut text = *SHAPE;
    let mut put = |from: usize, digits: usize, number: i64| {
        let mut rest = number;
        for place in text.iter_mut().skip(from).take(digits).rev() {
            *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
    };
    put(0, 4, year);
    put(5, 2, month);
    put(8, 2, day);
    put(11, 2, seconds / 3_600);
    put(14, 2, seconds / 60 % 60);
    put(17, 2, seconds % 60);
    put(20, 3, fraction);
    text
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days in 400 years, after which the calendar repeats.
const CYCLE: i64 = 146_097;
/// Days from 1 March of the year 0 to 1970. Years start in March, so that the leap day comes last.
const EPOCH: i64 = 719_468;

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let (cycle, of_cycle) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    cycle * CYCLE + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + of_year - EPOCH
}

/// Returns year, month and day.
fn date(days_since_1970: i64) -> (i64, i64, i64) {
    let days = days_since_1970 + EPOCH;
    let (cycle, of_cycle) = (days.div_euclid(CYCLE), days.rem_euclid(CYCLE));
    let year = (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = cycle * 400 + year + i64::from(month <= 2);
    (year, month, day)
}
