//! Numbers in English words.

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// A number below one thousand; a greater one in digits.
pub(super) fn english(number: u32) -> String {
    let word =
        |words: &[&'static str], at: u32| usize::try_from(at).ok().and_then(|at| words.get(at)).copied().unwrap_or_default();
    match number {
        0..=19 => word(&SMALL, number).to_owned(),
        20..=99 if number.is_multiple_of(10) => word(&TENS, number / 10).to_owned(),
        20..=99 => format!("{}-{}", word(&TENS, number / 10), word(&SMALL, number % 10)),
        100..=999 if number.is_multiple_of(100) => format!("{} hundred", word(&SMALL, number / 100)),
        100..=999 => format!("{} hundred and {}", word(&SMALL, number / 100), english(number % 100)),
        _ => number.to_string(),
    }
}
