//! PROPPATCH (RFC 4918 §9.2): all instructions are carried out, in order, or none.
//!
//! What Windows says about times sets the node's own; everything that we do not compute is kept
//! for the client as it wrote it.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use store::{Attributes, Error, Limited, Property, PropertyChange};

use crate::body::Body;
use crate::grammar::date;
use crate::grammar::error_body::Condition;
use crate::grammar::multistatus::Writer;
use crate::grammar::namespace::WIN32;
use crate::grammar::proppatch::{self, Instruction};
use crate::grammar::xml::{Element, Name};
use crate::guard;
use crate::property;
use crate::request::Call;
use crate::status::{Failure, XML};

/// What an instruction comes to.
enum Step {
    /// This change.
    Change(PropertyChange),
    /// Nothing: the client says that it does not know.
    Nothing,
    /// A refusal, which all others share.
    Refused(Outcome),
}

/// What is said of one property.
#[derive(Clone, Copy, PartialEq)]
struct Outcome {
    status: StatusCode,
    condition: Option<Condition>,
    /// What is wrong, for people.
    text: Option<&'static str>,
}

const PROTECTED: Outcome = Outcome {
    status: StatusCode::FORBIDDEN,
    condition: Some(Condition::CannotModifyProtectedProperty),
    text: None,
};
/// The value means nothing for this property (RFC 4918 §9.2.1).
const MEANINGLESS: Outcome = Outcome {
    status: StatusCode::CONFLICT,
    condition: None,
    text: None,
};
/// Neither do these words.
const NO_ATTRIBUTES: Outcome = Outcome {
    text: Some(
        "attributes are words key=value of visible ASCII with one space between them, each key \
         once, 6144 bytes at most; mtime is a number of seconds",
    ),
    ..MEANINGLESS
};
/// All were made.
const DONE: Outcome = Outcome {
    status: StatusCode::OK,
    condition: None,
    text: None,
};
/// Another one could not be made.
const DEPENDENT: Outcome = Outcome {
    status: StatusCode::FAILED_DEPENDENCY,
    condition: None,
    text: None,
};
const TOO_LARGE: Outcome = Outcome {
    status: StatusCode::INSUFFICIENT_STORAGE,
    condition: None,
    text: None,
};

/// Answers PROPPATCH.
pub(crate) async fn handle<B>(call: &Call<'_>, body: &mut B) -> Result<Response<Body>, Failure>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let body = guard::xml_body(body, call.dav.options().xml).await?;
    let instructions = proppatch::parse(&body, call.dav.options().xml)?;
    let names: Vec<Name> = instructions.iter().map(|i| i.name().clone()).collect();
    let steps: Vec<Step> = instructions.into_iter().map(step).collect();
    let mut refusals: Vec<Option<Outcome>> = steps.iter().map(Step::refusal).collect();
    if steps.is_empty() || refusals.iter().any(Option::is_some) {
        // Nothing will change; but a request that may not do anything is not told more.
        let found = call.store().find(call.caller, &call.target.path).await?;
        let found = found.ok_or(Error::NotFound)?;
        if let Some(conditions) = call.read_conditions()? {
            call.require(&conditions, Some(&*found)).await?;
        }
        return answer(call, &names, &refusals).await;
    }
    let sizes: Vec<u64> = steps.iter().map(Step::size_bytes).collect();
    let changes = steps.into_iter().filter_map(Step::into_change).collect();
    let (path, condition) = (&call.target.path, call.condition()?);
    let outcome = call
        .store()
        .change_properties(call.caller, path, changes, condition)
        .await;
    match outcome {
        Ok(()) => {}
        Err(Error::Limit { what, limit }) => {
            // Either some are too large, each for itself, or what was set is too much together.
            let most = if what == Limited::Property { limit } else { 0 };
            let too_large = sizes.into_iter().map(|size| size > most);
            refusals = too_large.map(|is| is.then_some(TOO_LARGE)).collect();
        }
        Err(error) => return Err(error.into()),
    }
    answer(call, &names, &refusals).await
}

impl Step {
    fn refusal(&self) -> Option<Outcome> {
        match self {
            Self::Refused(refusal) => Some(*refusal),
            Self::Change(_) | Self::Nothing => None,
        }
    }

    /// Bytes that it asks to be kept.
    fn size_bytes(&self) -> u64 {
        match self {
            Self::Change(PropertyChange::Set(property)) => property.value.len() as u64,
            Self::Change(_) | Self::Nothing | Self::Refused(_) => 0,
        }
    }

    fn into_change(self) -> Option<PropertyChange> {
        match self {
            Self::Change(change) => Some(change),
            Self::Nothing | Self::Refused(_) => None,
        }
    }
}

fn step(instruction: Instruction) -> Step {
    match instruction {
        Instruction::Set(element) if element.name.is_dav("getlastmodified") => {
            time(&element, PropertyChange::Modified)
        }
        Instruction::Set(element) if element.name == win32("Win32LastModifiedTime") => {
            time(&element, PropertyChange::Modified)
        }
        Instruction::Set(element) if element.name == win32("Win32CreationTime") => {
            time(&element, PropertyChange::Created)
        }
        Instruction::Set(element) if element.name == property::ATTRIBUTES => {
            match Attributes::parse(element.text().trim()) {
                Ok(words) => Step::Change(PropertyChange::Attributes(Some(words))),
                Err(_) => Step::Refused(NO_ATTRIBUTES),
            }
        }
        Instruction::Remove(name) if name == property::ATTRIBUTES => {
            Step::Change(PropertyChange::Attributes(None))
        }
        Instruction::Remove(name) if name.is_dav("getlastmodified") => Step::Refused(PROTECTED),
        _ if property::is_protected(instruction.name()) => Step::Refused(PROTECTED),
        Instruction::Set(element) => Step::Change(PropertyChange::Set(Property {
            namespace: element.name.namespace.clone().into_owned(),
            name: element.name.local.clone().into_owned(),
            value: element.to_xml(),
        })),
        Instruction::Remove(name) => Step::Change(PropertyChange::Remove {
            namespace: name.namespace.into_owned(),
            name: name.local.into_owned(),
        }),
    }
}

/// A time in any of HTTP's forms.
fn time(element: &Element, change: fn(i64) -> PropertyChange) -> Step {
    let Some(seconds) = date::parse(&element.text()) else {
        return Step::Refused(MEANINGLESS);
    };
    // Windows says 1601 for a time it does not know; a count of nanoseconds does not reach there.
    seconds
        .checked_mul(1_000_000_000)
        .map_or(Step::Nothing, |ns| Step::Change(change(ns)))
}

fn win32(local: &'static str) -> Name {
    Name::constant(WIN32, local)
}

/// 207 with each property in its turn: all 200, or the refused ones and 424 for the others.
async fn answer(
    call: &Call<'_>,
    names: &[Name],
    refusals: &[Option<Outcome>],
) -> Result<Response<Body>, Failure> {
    let found = call.store().find(call.caller, &call.target.path).await?;
    let is_folder = found.is_some_and(|found| found.node.is_folder());
    let others = if refusals.iter().any(Option::is_some) {
        DEPENDENT
    } else {
        DONE
    };
    let outcomes: Vec<Outcome> = refusals.iter().map(|of| of.unwrap_or(others)).collect();
    let mut writer = Writer::begin(1024, &[]);
    writer.response_open(&call.target.href(is_folder));
    for outcome in [PROTECTED, MEANINGLESS, NO_ATTRIBUTES, TOO_LARGE, others] {
        propstat(&mut writer, names, &outcomes, outcome);
    }
    if names.is_empty() {
        writer.propstat_open();
        writer.propstat_close(StatusCode::OK);
    }
    writer.response_close();
    let mut answer = Response::new(Body::full(writer.end()));
    *answer.status_mut() = StatusCode::MULTI_STATUS;
    answer.headers_mut().insert(CONTENT_TYPE, XML);
    Ok(answer)
}

/// The propstat of all properties with one outcome, each once, unless there is none.
fn propstat(writer: &mut Writer, names: &[Name], outcomes: &[Outcome], outcome: Outcome) {
    let mut told: Vec<&Name> = Vec::new();
    for (name, of) in names.iter().zip(outcomes) {
        if *of != outcome || told.contains(&name) {
            continue;
        }
        if told.is_empty() {
            writer.propstat_open();
        }
        writer.empty_name(name);
        told.push(name);
    }
    if !told.is_empty() {
        let condition = outcome.condition.map(Condition::as_str);
        writer.propstat_close_with(outcome.status, condition, outcome.text);
    }
}
