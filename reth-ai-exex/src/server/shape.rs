//! The shape of a JSON text, looked at before anything is built of it.

/// Why a request is not looked at any further. The caller's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// Arrays and objects within each other.
    #[error("nested deeper than {most} levels")]
    Depth {
        /// Levels allowed.
        most: usize,
    },
    /// A batch of too many calls.
    #[error("batch of more than {most} calls")]
    Batch {
        /// Calls allowed.
        most: u32,
    },
}

/// Bounds depth and batch of a JSON text in one pass, without memory of its own. Says nothing about whether it is JSON: what is none passes, and
/// is refused by the parser, which then meets nothing deep or wide.
///
/// # Errors
/// [`ShapeError`].
pub fn check_shape(text: &[u8], depth: usize, batch: u32) -> Result<(), ShapeError> {
    let (mut level, mut calls) = (0_usize, 0_u32);
    let (mut in_string, mut escaped) = (false, false);
    let is_batch = text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                level = level.saturating_add(1);
                if level > depth {
                    return Err(ShapeError::Depth { most: depth });
                }
            }
            b']' | b'}' => level = level.saturating_sub(1),
            b',' if is_batch && level == 1 => {
                calls = calls.saturating_add(1);
                // One comma stands between two calls.
                if calls >= batch {
                    return Err(ShapeError::Batch { most: batch });
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), ShapeError> {
        check_shape(text.as_bytes(), 4, 3)
    }

    #[test]
    fn depth_is_counted_over_arrays_and_objects_and_not_in_strings() {
        assert_eq!(check(r#"{"a":[{"b":[1]}]}"#), Ok(()));
        assert_eq!(check(r#"{"a":[{"b":[[]]}]}"#), Err(ShapeError::Depth { most: 4 }));
        assert_eq!(check(r#"{"a":"[[[[[[\"[[[{{{","b":"\\"}"#), Ok(()));
        assert_eq!(check(r#"{"a":"\\[","b":[[[[]]]]}"#), Err(ShapeError::Depth { most: 4 }));
        assert_eq!(check(&"[".repeat(1 << 20)), Err(ShapeError::Depth { most: 4 }));
    }

    #[test]
    fn calls_of_a_batch_are_counted_and_commas_elsewhere_are_not() {
        assert_eq!(check(r#" [{"a":[1,2,3,4]},{"b":"x,y,z,"},{}]"#), Ok(()));
        assert_eq!(check(r"[{},{},{},{}]"), Err(ShapeError::Batch { most: 3 }));
        assert_eq!(check(r#"{"params":[1,2,3,4,5]}"#), Ok(()));
        assert_eq!(check(&format!("[{}1]", "1,".repeat(1 << 20))), Err(ShapeError::Batch { most: 3 }));
    }
}
