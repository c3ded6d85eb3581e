//! What is kept for long and looked at rarely, as compressed JSON: an object as a tree of values takes ten times its text, and its text is mostly
//! what all objects of its type share.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// What can be packed.
pub trait Pack: Serialize + DeserializeOwned {
    /// A typical value as JSON: what a value shares with it takes no room.
    const TYPICAL: &'static str;
}

/// A packed value. Two are equal if their values are written the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed<T> {
    bytes: Box<[u8]>,
    value: PhantomData<fn() -> T>,
}

impl<T: Pack> Packed<T> {
    /// Packs a value.
    pub fn of(value: &T) -> Self {
        // Values with text keys and plain values can always be written.
        let text = serde_json::to_vec(value).unwrap_or_default();
        let bytes = lz4_flex::block::compress_prepend_size_with_dict(&text, T::TYPICAL.as_bytes()).into();
        Self { bytes, value: PhantomData }
    }

    /// The value. `None` never happens to what was packed here.
    pub fn open(&self) -> Option<T> {
        let text = lz4_flex::block::decompress_size_prepended_with_dict(&self.bytes, T::TYPICAL.as_bytes()).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Pair {
        name: String,
        texts: Vec<String>,
    }

    impl Pack for Pair {
        const TYPICAL: &'static str = r#"{"name":"something that is typical of this type","texts":[]}"#;
    }

    #[test]
    fn what_is_typical_takes_no_room() {
        let pair = Pair { name: "something that is typical of this type".into(), texts: vec![] };
        let packed = Packed::of(&pair);
        assert!(packed.bytes.len() < 16, "{} bytes", packed.bytes.len());
        assert_eq!(packed.open(), Some(pair));
    }

    proptest! {
        /// Whatever it is comes out again, and is equal to itself and to nothing else.
        #[test]
        fn what_is_packed_comes_out(name in ".{0,40}", texts in prop::collection::vec(".{0,30}", 0..8), other in ".{0,40}") {
            let pair = Pair { name: name.clone(), texts: texts.clone() };
            prop_assert_eq!(Packed::of(&pair).open(), Some(Pair { name: name.clone(), texts: texts.clone() }));
            prop_assert_eq!(Packed::of(&pair) == Packed::of(&Pair { name: other.clone(), texts }), name == other);
        }
    }
}
