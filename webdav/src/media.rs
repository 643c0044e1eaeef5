//! Media types by file name, and which of them a browser would run.

/// What a file's name says about its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Media {
    /// The value of `Content-Type`.
    pub media_type: &'static str,
    /// Whether a browser runs it, or hands it to something that does: never shown in our origin.
    pub is_active: bool,
}

const UNKNOWN: Media = Media {
    media_type: "application/octet-stream",
    is_active: false,
};

/// Longest extension in [`TABLE`].
const LONGEST: usize = 8;

/// The media type of a file with this name.
pub(crate) fn of_name(name: &str) -> Media {
    let Some((stem, extension)) = name.rsplit_once('.') else {
        return UNKNOWN;
    };
    if stem.is_empty() || extension.len() > LONGEST {
        return UNKNOWN;
    }
    let mut lower = [0; LONGEST];
    let lower = &mut lower[..extension.len()];
    lower.copy_from_slice(extension.as_bytes());
    lower.make_ascii_lowercase();
    match TABLE.binary_search_by(|(known, _, _)| known.as_bytes().cmp(lower)) {
        Ok(at) => Media {
            media_type: TABLE[at].1,
            is_active: TABLE[at].2,
        },
        Err(_) => UNKNOWN,
    }
}

/// Extension, media type, whether active; in the order of the extensions.
#[rustfmt::skip]
const TABLE: [(&str, &str, bool); 96] = [
    ("7z", "application/x-7z-compressed", false),
    ("aac", "audio/aac", false),
    ("avi", "video/x-msvideo", false),
    ("avif", "image/avif", false),
    ("bmp", "image/bmp", false),
    ("bz2", "application/x-bzip2", false),
    ("c", "text/plain; charset=utf-8", false),
    ("conf", "text/plain; charset=utf-8", false),
    ("cpp", "text/plain; charset=utf-8", false),
    ("css", "text/css; charset=utf-8", false),
    ("csv", "text/csv; charset=utf-8", false),
    ("doc", "application/msword", false),
    ("docm", "application/vnd.ms-word.document.macroEnabled.12", false),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", false),
    ("eml", "message/rfc822", true),
    ("epub", "application/epub+zip", false),
    ("flac", "audio/flac", false),
    ("gif", "image/gif", false),
    ("go", "text/plain; charset=utf-8", false),
    ("gz", "application/gzip", false),
    ("h", "text/plain; charset=utf-8", false),
    ("heic", "image/heic", false),
    ("heif", "image/heif", false),
    ("hta", "application/hta", true),
    ("htm", "text/html; charset=utf-8", true),
    ("html", "text/html; charset=utf-8", true),
    ("ico", "image/vnd.microsoft.icon", false),
    ("ics", "text/calendar; charset=utf-8", false),
    ("ini", "text/plain; charset=utf-8", false),
    ("iso", "application/x-iso9660-image", false),
    ("jar", "application/java-archive", true),
    ("java", "text/plain; charset=utf-8", false),
    ("jpeg", "image/jpeg", false),
    ("jpg", "image/jpeg", false),
    ("js", "text/javascript; charset=utf-8", true),
    ("json", "application/json", false),
    ("jxl", "image/jxl", false),
    ("log", "text/plain; charset=utf-8", false),
    ("m4a", "audio/mp4", false),
    ("m4v", "video/x-m4v", false),
    ("markdown", "text/markdown; charset=utf-8", false),
    ("md", "text/markdown; charset=utf-8", false),
    ("mht", "multipart/related", true),
    ("mhtml", "multipart/related", true),
    ("mid", "audio/midi", false),
    ("mjs", "text/javascript; charset=utf-8", true),
    ("mkv", "video/x-matroska", false),
    ("mov", "video/quicktime", false),
    ("mp3", "audio/mpeg", false),
    ("mp4", "video/mp4", false),
    ("mpeg", "video/mpeg", false),
    ("mpg", "video/mpeg", false),
    ("msg", "application/vnd.ms-outlook", false),
    ("odg", "application/vnd.oasis.opendocument.graphics", false),
    ("odp", "application/vnd.oasis.opendocument.presentation", false),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet", false),
    ("odt", "application/vnd.oasis.opendocument.text", false),
    ("oga", "audio/ogg", false),
    ("ogg", "audio/ogg", false),
    ("ogv", "video/ogg", false),
    ("opus", "audio/ogg", false),
    ("otf", "font/otf", false),
    ("pdf", "application/pdf", true),
    ("png", "image/png", false),
    ("ppt", "application/vnd.ms-powerpoint", false),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation", false),
    ("ps", "application/postscript", true),
    ("py", "text/plain; charset=utf-8", false),
    ("rar", "application/vnd.rar", false),
    ("rs", "text/plain; charset=utf-8", false),
    ("rtf", "application/rtf", false),
    ("sh", "text/plain; charset=utf-8", false),
    ("svg", "image/svg+xml", true),
    ("svgz", "image/svg+xml", true),
    ("swf", "application/x-shockwave-flash", true),
    ("tar", "application/x-tar", false),
    ("tif", "image/tiff", false),
    ("tiff", "image/tiff", false),
    ("toml", "text/plain; charset=utf-8", false),
    ("tsv", "text/tab-separated-values; charset=utf-8", false),
    ("ttf", "font/ttf", false),
    ("txt", "text/plain; charset=utf-8", false),
    ("wasm", "application/wasm", true),
    ("wav", "audio/wav", false),
    ("webm", "video/webm", false),
    ("webp", "image/webp", false),
    ("woff", "font/woff", false),
    ("woff2", "font/woff2", false),
    ("xht", "application/xhtml+xml", true),
    ("xhtml", "application/xhtml+xml", true),
    ("xls", "application/vnd.ms-excel", false),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", false),
    ("xml", "application/xml", true),
    ("xsl", "application/xslt+xml", true),
    ("yaml", "text/plain; charset=utf-8", false),
    ("zip", "application/zip", false),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_each_row_is_found() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (extension, media_type, is_active) in TABLE {
            let expected = Media {
                media_type,
                is_active,
            };
            assert_eq!(of_name(&format!("a.b.{extension}")), expected);
            assert_eq!(
                of_name(&format!("A.{}", extension.to_uppercase())),
                expected
            );
        }
    }

    #[test]
    fn what_is_not_known_is_only_bytes() {
        for name in [
            "",
            "a",
            "a.",
            ".html",
            "a.unheardof",
            "a.ü",
            "html",
            "a.longerthaneight",
        ] {
            assert_eq!(of_name(name), UNKNOWN, "{name}");
        }
    }
}
