//! Numbers of a table: as many digits as say something.

/// `value` with three digits or more; thousands are marked.
pub(super) fn shown(value: f64) -> String {
    let size = value.abs();
    if size < 1.0 {
        format!("{value:.3}")
    } else if size < 10.0 {
        format!("{value:.2}")
    } else if size < 1_000.0 {
        format!("{value:.1}")
    } else {
        with_thousands(&format!("{value:.0}"))
    }
}

/// As [`shown`], with the sign of a difference.
pub(super) fn signed(value: f64) -> String {
    let sign = if value < 0.0 { "" } else { "+" };
    format!("{sign}{}", shown(value))
}

fn with_thousands(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut shown = sign.to_owned();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_have_decimals_and_large_ones_have_marks() {
        let rows = [
            (0.0421, "0.042"),
            (3.456, "3.46"),
            (66.66, "66.7"),
            (999.4, "999.4"),
            (1_000.0, "1,000"),
            (-1_234_567.0, "-1,234,567"),
            (-3.456, "-3.46"),
        ];
        for (value, want) in rows {
            assert_eq!(shown(value), want);
        }
    }
}
