//! The drive over WebDAV, request by request: what the clients send, what the specifications ask
//! for, and what must not work.

mod auth;
mod bad_input;
mod bind;
mod conditions;
mod depth;
mod destination;
mod explorer;
mod finder;
mod findings;
mod get;
mod isolation;
mod limits;
mod locks;
mod names;
mod office;
mod options;
mod posix;
mod properties;
mod put;
mod ranges;
mod shares;
mod sync_apps;
mod xml;

/// Words that several modules say.
mod phrase {
    use harness::{Answer, Wire, World};

    /// `Authorization` of alice, for requests by hand.
    pub fn authorization() -> String {
        let alice = World::alice_user();
        Wire::basic(&alice.name, &alice.password)
    }

    /// Sends alice's request with `target` just as it is given and reads the answer.
    pub async fn by_hand(
        world: &World,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n").into_bytes();
        head.extend(format!("Authorization: {}\r\n", authorization()).bytes());
        for (name, value) in headers {
            head.extend(format!("{name}: {value}\r\n").bytes());
        }
        head.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
        head.extend(body);
        let mut wire = world.wire().await;
        wire.send(head).await;
        wire.answer()
            .await
            .unwrap_or_else(|| panic!("no answer to {method} {target}"))
    }

    /// The token that a LOCK was answered with.
    #[track_caller]
    pub fn lock_token(answer: &Answer) -> String {
        let header = answer.header("lock-token");
        header
            .strip_prefix('<')
            .and_then(|rest| rest.strip_suffix('>'))
            .unwrap_or_else(|| panic!("no token\n{answer:?}"))
            .to_owned()
    }

    /// A LOCK body in the words of RFC 4918 §9.10.7.
    pub const EXCLUSIVE: &str = "<D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/>\
        </D:lockscope><D:locktype><D:write/></D:locktype><D:owner>Office</D:owner></D:lockinfo>";
}
