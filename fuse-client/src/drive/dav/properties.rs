//! PROPPATCH: attributes and times of what is there.

use std::sync::atomic::Ordering;

use http::StatusCode;
use http::header::CONTENT_TYPE;
use webdav::grammar::date;
use webdav::grammar::xml::escape_text;

use super::answers::{failure, refused};
use super::{DavDrive, describe};
use crate::attributes::{write, write_xattrs};
use crate::connection::{Refusal, multistatus};
use crate::drive::{Attributes, DrivePath, Error, ExtendedAttributes, Result};

impl DavDrive {
    /// [`Drive::set_attributes`](crate::drive::Drive::set_attributes).
    pub(super) async fn describe_anew(
        &self,
        path: &DrivePath,
        attributes: &Attributes,
        xattrs: Option<&ExtendedAttributes>,
    ) -> Result<()> {
        let text = write(attributes);
        let mut properties = match text.as_str() {
            "" => String::new(),
            text => property("p:attributes", text),
        };
        match xattrs {
            None => {}
            Some(none) if none.is_empty() => {
                properties.push_str("<D:remove><D:prop><p:xattrs/></D:prop></D:remove>");
            }
            Some(some) => properties.push_str(&property("p:xattrs", &write_xattrs(some))),
        }
        if !properties.is_empty() {
            if !self.inner.found.capabilities.properties {
                return Err(Error::Unsupported);
            }
            self.set(path, &properties).await?;
        }
        let Some(mtime_ns) = attributes.mtime_ns else {
            return Ok(());
        };
        // Who reads our attributes takes the time from them, to the nanosecond.
        if self.inner.found.attributes_header || self.inner.refuses_times.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut time = Vec::with_capacity(date::IMF_BYTES);
        date::write_imf(&mut time, mtime_ns.div_euclid(1_000_000_000));
        let time = String::from_utf8(time).expect("dates are ASCII");
        match self.set(path, &property("D:getlastmodified", &time)).await {
            // Most servers keep that for themselves; the attribute above says the same to mounts.
            Err(Error::Unsupported) => {
                self.inner.refuses_times.store(true, Ordering::Relaxed);
                Ok(())
            }
            set => set,
        }
    }

    /// One PROPPATCH of `properties`, which are XML.
    async fn set(&self, path: &DrivePath, properties: &str) -> Result<()> {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
             <D:propertyupdate xmlns:D=\"DAV:\" xmlns:p=\"{}\">{properties}</D:propertyupdate>",
            describe::POSIX
        );
        let request = self
            .request("PROPPATCH", &self.url(path))
            .header(CONTENT_TYPE, "application/xml; charset=utf-8")
            .body(body);
        let answer = self.inner.connection.send(request).await;
        let answer = answer.map_err(|fault| failure(path, fault))?;
        if answer.status() != StatusCode::MULTI_STATUS {
            return Ok(());
        }
        let found = multistatus(answer)
            .await
            .map_err(|fault| failure(path, fault))?;
        let parts = found
            .responses
            .iter()
            .flat_map(|response| &response.propstats);
        let statuses = parts.map(|propstat| propstat.status);
        let failed = statuses.filter(|status| !(200..300).contains(status));
        match failed.min_by_key(|status| *status == 424) {
            None => Ok(()),
            // A server that keeps no such property says so in many ways.
            Some(403 | 404 | 405 | 409 | 422 | 424 | 501)
                if !self.inner.found.attributes_header =>
            {
                Err(Error::Unsupported)
            }
            // The text itself is refused.
            Some(409) => Err(Error::Forbidden { path: path.clone() }),
            Some(status) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
                Err(refused(path, &Refusal::plain(status)))
            }
        }
    }
}

/// `<D:set>` of one property.
fn property(name: &str, text: &str) -> String {
    let mut escaped = Vec::with_capacity(text.len());
    escape_text(&mut escaped, text);
    let escaped = String::from_utf8_lossy(&escaped);
    format!("<D:set><D:prop><{name}>{escaped}</{name}></D:prop></D:set>")
}
