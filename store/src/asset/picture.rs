//! What an image is, by its own bytes: PNG, JPEG, WebP or GIF, with a width and a height that can
//! be shown. What its sender calls it does not count.

/// How much of an image is looked at.
pub(crate) const HEAD_BYTES: usize = 256 << 10;
/// Longest side in pixels.
const MOST_PIXELS: u32 = 16_384;

/// What an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Picture {
    pub media_type: &'static str,
    pub width: u32,
    pub height: u32,
}

/// Looks at the beginning of an image; the reason when it is none that is taken.
pub(crate) fn read(head: &[u8]) -> Result<Picture, &'static str> {
    let (media_type, size) = if head.starts_with(b"\x89PNG\r\n\x1a\n") {
        ("image/png", png(head))
    } else if head.starts_with(b"\xff\xd8\xff") {
        ("image/jpeg", jpeg(head))
    } else if head.starts_with(b"GIF87a") || head.starts_with(b"GIF89a") {
        ("image/gif", gif(head))
    } else if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        ("image/webp", webp(head))
    } else {
        return Err("is no PNG, JPEG, WebP or GIF");
    };
    let (width, height) = size.ok_or("is damaged: its width and height cannot be read")?;
    if !(1..=MOST_PIXELS).contains(&width) || !(1..=MOST_PIXELS).contains(&height) {
        return Err("must have 1 to 16384 pixels on each side");
    }
    Ok(Picture {
        media_type,
        width,
        height,
    })
}

fn big_32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn big_16(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?).into())
}

fn little_16(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?).into())
}

fn little_24(bytes: &[u8], at: usize) -> Option<u32> {
    Some(little_16(bytes, at)? | u32::from(*bytes.get(at + 2)?) << 16)
}

/// The header chunk comes first (PNG, third edition, §5.6).
fn png(head: &[u8]) -> Option<(u32, u32)> {
    let is_header = head.get(8..16)? == b"\0\0\0\x0dIHDR";
    is_header.then(|| Some((big_32(head, 16)?, big_32(head, 20)?)))?
}

fn gif(head: &[u8]) -> Option<(u32, u32)> {
    Some((little_16(head, 6)?, little_16(head, 8)?))
}

/// The frame header, after segments of other kinds (ITU-T T.81, annex B).
fn jpeg(head: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        if *head.get(at)? != 0xff {
            return None;
        }
        match *head.get(at + 1)? {
            // Any number of these may stand before a marker.
            0xff => at += 1,
            // Frames; among their numbers are three of tables.
            0xc0..=0xcf if !matches!(head[at + 1], 0xc4 | 0xc8 | 0xcc) => {
                return Some((big_16(head, at + 7)?, big_16(head, at + 5)?));
            }
            // What cannot stand before a frame: an image's beginning or end, a scan, a restart.
            0x00..=0x01 | 0xd0..=0xda => return None,
            _ => at += 2 + big_16(head, at + 2).filter(|length| *length >= 2)? as usize,
        }
    }
}

/// The first chunk says which of three forms it is (RFC 9649 §2.5 – §2.7).
fn webp(head: &[u8]) -> Option<(u32, u32)> {
    match head.get(12..16)? {
        b"VP8 " => {
            let is_key_frame = head.get(23..26)? == [0x9d, 0x01, 0x2a];
            let side = |at| Some(little_16(head, at)? & 0x3fff);
            is_key_frame.then(|| Some((side(26)?, side(28)?)))?
        }
        b"VP8L" => {
            let bits = little_16(head, 21)? | little_16(head, 23)? << 16;
            let is_signed = head[20] == 0x2f;
            is_signed.then_some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => Some((little_24(head, 24)? + 1, little_24(head, 27)? + 1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of_png(width: u32, height: u32) -> Vec<u8> {
        let mut image = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        image.extend(width.to_be_bytes());
        image.extend(height.to_be_bytes());
        image
    }

    #[test]
    fn each_kind_is_known_by_its_bytes() {
        let jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xc2\0\x0b\x08\0\x02\0\x03\x01";
        let webp = |chunk: &[u8]| [&b"RIFF\x40\0\0\0WEBP"[..], chunk].concat();
        for (image, media_type) in [
            (of_png(3, 2), "image/png"),
            (jpeg.to_vec(), "image/jpeg"),
            (b"GIF89a\x03\0\x02\0".to_vec(), "image/gif"),
            (
                webp(b"VP8 \x20\0\0\0\0\0\0\x9d\x01\x2a\x03\0\x02\0"),
                "image/webp",
            ),
            (webp(b"VP8L\x20\0\0\0\x2f\x02\x40\0\0"), "image/webp"),
            (
                webp(b"VP8X\x0a\0\0\0\0\0\0\0\x02\0\0\x01\0\0"),
                "image/webp",
            ),
        ] {
            let expected = Picture {
                media_type,
                width: 3,
                height: 2,
            };
            assert_eq!(read(&image), Ok(expected));
            for cut in 1..image.len() {
                let _ = read(&image[..cut]);
            }
        }
    }

    #[test]
    fn what_cannot_be_shown_is_refused() {
        for image in [
            b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(),
            b"<html>".to_vec(),
            Vec::new(),
            of_png(0, 1),
            of_png(1, 16_385),
            of_png(1, 1)[..20].to_vec(),
            b"\xff\xd8\xff\xda".to_vec(),
            b"\xff\xd8\xff\xe0\0\0".to_vec(),
        ] {
            assert!(read(&image).is_err(), "{image:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(kind in 0usize..5, rest in prop::collection::vec(any::<u8>(), 0..80)) {
            let start: &[u8] = [&b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8L", b""][kind];
            let _ = read(&[start, &rest].concat());
        }
    }
}
