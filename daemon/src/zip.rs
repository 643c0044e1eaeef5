//! Archives in the ZIP format (APPNOTE 6.3), written from front to end.
//!
//! Contents stand in them as they are: what is large is compressed already. A content's checksum
//! follows it, since it is known only then; lengths over 32 bits are written as zip64. Nothing is
//! held but the directory, which stands at the end.

use crc::{CRC_32_ISO_HDLC, Crc, Digest, Table};
use time::OffsetDateTime;

static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// Stands in a field of 32 bits whose value is in the zip64 field; of 16 bits likewise.
const ELSEWHERE_32: u32 = u32::MAX;
const ELSEWHERE_16: u16 = u16::MAX;
/// Made on Unix, by version 4.5.
const MADE_BY: u16 = 0x032d;
const VERSION: u16 = 20;
const VERSION_ZIP64: u16 = 45;
/// Names are UTF-8.
const UTF8: u16 = 1 << 11;
/// Checksum and lengths follow the content.
const DESCRIPTOR: u16 = 1 << 3;
const ZIP64: u16 = 0x0001;
/// A field of UTC times; that of Info-ZIP, which all programs know.
const TIMES: u16 = 0x5455;

/// An archive being written; whoever writes it sends what it puts into `out`, and contents.
#[derive(Default)]
pub struct Zip {
    written_bytes: u64,
    entries: u64,
    directory: Vec<u8>,
    open: Option<Open>,
}

/// A file whose content is being sent.
struct Open {
    entry: Entry,
    digest: Digest<'static, u32, Table<16>>,
    size_bytes: u64,
}

/// A line of the directory.
struct Entry {
    name: String,
    is_folder: bool,
    modified_s: i64,
    at: u64,
    crc: u32,
    size_bytes: u64,
}

impl Zip {
    /// Adds a folder.
    pub fn folder(&mut self, out: &mut Vec<u8>, name: String, modified_s: i64) {
        let entry = Entry {
            name,
            is_folder: true,
            modified_s,
            at: self.written_bytes,
            crc: 0,
            size_bytes: 0,
        };
        self.begin_entry(out, &entry);
        self.list(&entry);
    }

    /// Begins a file of `size_bytes`, which [`Self::content`] must be told before [`Self::end`].
    pub fn begin(&mut self, out: &mut Vec<u8>, name: String, size_bytes: u64, modified_s: i64) {
        let entry = Entry {
            name,
            is_folder: false,
            modified_s,
            at: self.written_bytes,
            crc: 0,
            size_bytes,
        };
        self.begin_entry(out, &entry);
        self.open = Some(Open {
            entry,
            digest: CRC.digest(),
            size_bytes: 0,
        });
    }

    /// Takes note of the next bytes of the file's content.
    pub fn content(&mut self, bytes: &[u8]) {
        self.written_bytes += bytes.len() as u64;
        if let Some(open) = &mut self.open {
            open.size_bytes += bytes.len() as u64;
            open.digest.update(bytes);
        }
    }

    /// Ends the file; whether it was as long as was said.
    pub fn end(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(open) = self.open.take() else {
            return true;
        };
        let mut entry = open.entry;
        entry.crc = open.digest.finalize();
        let start = out.len();
        if entry.has_descriptor() {
            put_32(out, 0x0807_4b50);
            put_32(out, entry.crc);
            if entry.is_large() {
                put_64(out, entry.size_bytes);
                put_64(out, entry.size_bytes);
            } else {
                put_32(out, entry.size_32());
                put_32(out, entry.size_32());
            }
        }
        self.written_bytes += (out.len() - start) as u64;
        self.list(&entry);
        open.size_bytes == entry.size_bytes
    }

    /// Bytes of memory the directory takes.
    pub fn directory_bytes(&self) -> usize {
        self.directory.len()
    }

    /// Ends the archive.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let directory_at = self.written_bytes;
        let directory_bytes = self.directory.len() as u64;
        let end_at = directory_at + directory_bytes;
        out.append(&mut self.directory);
        let entries_16 = u16::try_from(self.entries).unwrap_or(ELSEWHERE_16);
        let bytes_32 = u32::try_from(directory_bytes).unwrap_or(ELSEWHERE_32);
        let at_32 = u32::try_from(directory_at).unwrap_or(ELSEWHERE_32);
        if entries_16 == ELSEWHERE_16 || bytes_32 == ELSEWHERE_32 || at_32 == ELSEWHERE_32 {
            put_32(out, 0x0606_4b50);
            put_64(out, 44); // What follows of this record.
            put_16(out, MADE_BY);
            put_16(out, VERSION_ZIP64);
            put_32(out, 0); // This disk, and that of the directory.
            put_32(out, 0);
            put_64(out, self.entries);
            put_64(out, self.entries);
            put_64(out, directory_bytes);
            put_64(out, directory_at);
            put_32(out, 0x0706_4b50);
            put_32(out, 0);
            put_64(out, end_at);
            put_32(out, 1); // Disks.
        }
        put_32(out, 0x0605_4b50);
        put_16(out, 0);
        put_16(out, 0);
        put_16(out, entries_16);
        put_16(out, entries_16);
        put_32(out, bytes_32);
        put_32(out, at_32);
        put_16(out, 0); // No comment.
    }

    /// The header before a content.
    fn begin_entry(&mut self, out: &mut Vec<u8>, entry: &Entry) {
        let start = out.len();
        let mut extra = Vec::with_capacity(32);
        if entry.is_large() {
            put_16(&mut extra, ZIP64);
            put_16(&mut extra, 16);
            put_64(&mut extra, 0);
            put_64(&mut extra, 0);
        }
        entry.put_times(&mut extra);
        let size_32 = if entry.is_large() { ELSEWHERE_32 } else { 0 };
        put_32(out, 0x0403_4b50);
        entry.put_common(
            out,
            if entry.is_large() {
                VERSION_ZIP64
            } else {
                VERSION
            },
        );
        put_32(out, 0);
        put_32(out, size_32);
        put_32(out, size_32);
        put_length(out, entry.name.as_bytes());
        put_length(out, &extra);
        out.extend_from_slice(entry.name.as_bytes());
        out.extend_from_slice(&extra);
        self.written_bytes += (out.len() - start) as u64;
    }

    /// The entry's line in the directory.
    fn list(&mut self, entry: &Entry) {
        self.entries += 1;
        let at_32 = u32::try_from(entry.at).unwrap_or(ELSEWHERE_32);
        let size_32 = entry.size_32();
        let mut wide = Vec::with_capacity(24);
        if size_32 == ELSEWHERE_32 {
            put_64(&mut wide, entry.size_bytes);
            put_64(&mut wide, entry.size_bytes);
        }
        if at_32 == ELSEWHERE_32 {
            put_64(&mut wide, entry.at);
        }
        let mut extra = Vec::with_capacity(40);
        if !wide.is_empty() {
            put_16(&mut extra, ZIP64);
            put_length(&mut extra, &wide);
            extra.extend_from_slice(&wide);
        }
        let version = if wide.is_empty() {
            VERSION
        } else {
            VERSION_ZIP64
        };
        entry.put_times(&mut extra);
        let mode: u32 = if entry.is_folder {
            0o040_755
        } else {
            0o100_644
        };
        let out = &mut self.directory;
        put_32(out, 0x0201_4b50);
        put_16(out, MADE_BY);
        entry.put_common(out, version);
        put_32(out, entry.crc);
        put_32(out, size_32);
        put_32(out, size_32);
        put_length(out, entry.name.as_bytes());
        put_length(out, &extra);
        put_16(out, 0); // No comment.
        put_16(out, 0); // The one disk.
        put_16(out, 0);
        put_32(out, mode << 16 | u32::from(entry.is_folder) << 4);
        put_32(out, at_32);
        out.extend_from_slice(entry.name.as_bytes());
        out.extend_from_slice(&extra);
    }
}

impl Entry {
    fn is_large(&self) -> bool {
        self.size_32() == ELSEWHERE_32
    }

    fn size_32(&self) -> u32 {
        u32::try_from(self.size_bytes).unwrap_or(ELSEWHERE_32)
    }

    /// An empty content has a checksum that is known before.
    fn has_descriptor(&self) -> bool {
        self.size_bytes > 0
    }

    /// Version, flags, method (stored), time and date.
    fn put_common(&self, out: &mut Vec<u8>, version: u16) {
        let descriptor = if self.has_descriptor() { DESCRIPTOR } else { 0 };
        let (time, date) = dos(self.modified_s);
        put_16(out, version);
        put_16(out, UTF8 | descriptor);
        put_16(out, 0);
        put_16(out, time);
        put_16(out, date);
    }

    /// The time to the second in UTC, where the field can hold it.
    fn put_times(&self, extra: &mut Vec<u8>) {
        if let Ok(modified_s) = i32::try_from(self.modified_s) {
            put_16(extra, TIMES);
            put_16(extra, 5);
            extra.push(1); // The time of modification alone.
            extra.extend_from_slice(&modified_s.to_le_bytes());
        }
    }
}

/// Time and date as DOS has them, the nearest it has.
fn dos(seconds: i64) -> (u16, u16) {
    let first = (dos_time(0, 0, 0), dos_date(0, 1, 1));
    let last = (dos_time(23, 59, 59), dos_date(127, 12, 31));
    let Ok(at) = OffsetDateTime::from_unix_timestamp(seconds) else {
        return if seconds < 0 { first } else { last };
    };
    let date = at.date();
    let Ok(year) = u16::try_from(date.year() - 1980) else {
        return first;
    };
    if year > 127 {
        return last;
    }
    let time = dos_time(at.hour(), at.minute(), at.second());
    (time, dos_date(year, date.month().into(), date.day()))
}

/// To two seconds.
fn dos_time(hour: u8, minute: u8, second: u8) -> u16 {
    u16::from(hour) << 11 | u16::from(minute) << 5 | u16::from(second >> 1)
}

/// The year counts from 1980.
fn dos_date(year: u16, month: u8, day: u8) -> u16 {
    year << 9 | u16::from(month) << 5 | u16::from(day)
}

fn put_16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// The length of a name or field: a path has 4,096 bytes, of which each may become three.
fn put_length(out: &mut Vec<u8>, bytes: &[u8]) {
    put_16(
        out,
        u16::try_from(bytes.len()).expect("paths and fields are short"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_dos_does_not_know_become_the_nearest() {
        assert_eq!(dos(0), (0, 0x0021));
        assert_eq!(dos(i64::MIN), (0, 0x0021));
        // 2023-11-14 22:13:20.
        let expected = (dos_time(22, 13, 20), dos_date(43, 11, 14));
        assert_eq!(dos(1_700_000_000), expected);
        assert_eq!(expected, (0xb1aa, 0x576e));
        assert_eq!(dos(i64::MAX), dos(4_354_819_199));
    }

    #[test]
    fn an_archive_of_nothing_is_an_end_record() {
        let mut out = Vec::new();
        Zip::default().finish(&mut out);
        assert_eq!(out.len(), 22);
        assert!(out.starts_with(b"PK\x05\x06"));
    }

    #[test]
    fn places_beyond_32_bits_are_written_as_zip64() {
        let mut zip = Zip::default();
        let mut out = Vec::new();
        zip.begin(&mut out, "large".into(), u64::from(u32::MAX), 0);
        // What was sent counts, whatever it was.
        zip.written_bytes += u64::from(u32::MAX);
        zip.end(&mut out);
        zip.folder(&mut out, "behind/".into(), 0);
        let mut end = Vec::new();
        zip.finish(&mut end);
        let at = |signature: &[u8]| end.windows(4).position(|window| window == signature);
        let zip64_end = at(b"PK\x06\x06").unwrap();
        let directory_bytes = u64::from_le_bytes(end[zip64_end + 40..][..8].try_into().unwrap());
        assert_eq!(directory_bytes, zip64_end as u64);
        assert_eq!(at(b"PK\x06\x07"), Some(zip64_end + 56));
        assert!(end.ends_with(b"\xff\xff\xff\xff\x00\x00"));
    }

    #[test]
    fn a_content_of_another_length_is_noticed() {
        let mut zip = Zip::default();
        let mut out = Vec::new();
        zip.begin(&mut out, "a".into(), 3, 0);
        zip.content(b"ab");
        assert!(!zip.end(&mut out));
        zip.begin(&mut out, "b".into(), 0, 0);
        assert!(zip.end(&mut out));
    }
}
