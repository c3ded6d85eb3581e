//! Certificate subjects with several organisations.
//!
//! Kubernetes reads a user's groups from the subject's organisations, one each. rcgen keeps one value per attribute
//! type, so the subject of a certificate that it made is replaced here, and the certificate signed again.

use rcgen::SigningKey;

use crate::{Error, Result};

const EXPLICIT_VERSION: u8 = 0xA0;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0C;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// 2.5.4.3
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
/// 2.5.4.10
const ORGANISATION: [u8; 3] = [0x55, 0x04, 0x0A];

/// The certificate (DER) with the subject `CN=name, O=groups…`, signed by `issuer` (the key that signed it before).
pub(crate) fn replace(certificate: &[u8], name: &str, groups: &[&str], issuer: &impl SigningKey) -> Result<Vec<u8>> {
    let [signed, algorithm, _signature] = elements(content(certificate)?)?[..] else { return Err(Error::Der) };
    let mut fields = elements(content(signed)?)?;
    // version, serial number, algorithm, issuer, validity, subject, …
    if fields.first().is_none_or(|first| !first.starts_with(&[EXPLICIT_VERSION])) {
        return Err(Error::Der);
    }
    let subject = subject(name, groups);
    *fields.get_mut(5).ok_or(Error::Der)? = &subject;

    let signed = element(SEQUENCE, &fields.concat());
    // A bit string begins with the number of unused bits.
    let signature = element(BIT_STRING, &[&[0], &issuer.sign(&signed)?[..]].concat());
    Ok(element(SEQUENCE, &[&signed[..], algorithm, &signature].concat()))
}

fn subject(name: &str, groups: &[&str]) -> Vec<u8> {
    let attribute = |kind: &[u8], value: &str| {
        let pair = [element(OBJECT_IDENTIFIER, kind), element(UTF8_STRING, value.as_bytes())].concat();
        element(SET, &element(SEQUENCE, &pair))
    };
    let groups = groups.iter().map(|group| attribute(&ORGANISATION, group));
    let attributes: Vec<Vec<u8>> = groups.chain([attribute(&COMMON_NAME, name)]).collect();
    element(SEQUENCE, &attributes.concat())
}

/// Encodes tag, length and content.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = length.iter().skip_while(|byte| **byte == 0).copied();
    let mut encoded = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => encoded.push(short),
        _ => {
            encoded.extend(u8::try_from(significant.clone().count()).map(|count| 0x80 | count));
            encoded.extend(significant);
        }
    }
    encoded.extend(content);
    encoded
}

/// The content of the one element that the bytes are.
fn content(element: &[u8]) -> Result<&[u8]> {
    let (length, header) = length(element)?;
    element.get(header..header + length).ok_or(Error::Der)
}

/// Splits bytes into the elements they are made of, each with its tag and length.
fn elements(mut bytes: &[u8]) -> Result<Vec<&[u8]>> {
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let (length, header) = length(bytes)?;
        let (element, rest) = bytes.split_at_checked(header + length).ok_or(Error::Der)?;
        elements.push(element);
        bytes = rest;
    }
    Ok(elements)
}

/// The length of the first element's content, and of the tag and length before it.
fn length(bytes: &[u8]) -> Result<(usize, usize)> {
    let first = usize::from(*bytes.get(1).ok_or(Error::Der)?);
    if first < 0x80 {
        return Ok((first, 2));
    }
    let header = 2 + (first & 0x7F);
    let big_endian = bytes.get(2..header).filter(|length| length.len() <= 4).ok_or(Error::Der)?;
    Ok((big_endian.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)), header))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_every_length_are_read_back() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let payload = vec![7; length];
            let twice = [element(SET, &payload), element(SEQUENCE, &[])].concat();
            let split = elements(&twice).unwrap();
            assert_eq!(split.len(), 2);
            assert_eq!(content(split[0]).unwrap(), payload);
        }
        assert!(elements(&[SET, 5, 0]).is_err());
    }
}
