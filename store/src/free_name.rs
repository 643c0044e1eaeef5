//! A name beside one that is taken: `a (2).txt`.

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::mutation::{Place, Scene};
use crate::path::{Name, Path};

/// A free place beside the one at `path`, where something is.
///
/// Numbers are tried in doubling steps and the gap is halved then, so that the thousandth file of one
/// name costs twenty looks and not a thousand. Where numbers have gaps, it may be any free one.
pub(crate) fn place_beside(tx: &mut Tx<'_>, scene: &Scene<'_>, path: &Path) -> Result<Place> {
    let folder = path.parent().ok_or(Error::Protected)?;
    let name = path.name().ok_or(Error::Protected)?;
    let mut look = |number: u64| {
        let path = folder.join(numbered(name, number)?)?;
        Place::find(tx, scene, &path)
    };
    let (mut taken, mut free) = (1, 2);
    let mut place = look(free)?;
    while place.node().is_some() {
        taken = free;
        free *= 2;
        place = look(free)?;
    }
    while free - taken > 1 {
        let middle = taken + (free - taken) / 2;
        let found = look(middle)?;
        if found.node().is_some() {
            taken = middle;
        } else {
            (free, place) = (middle, found);
        }
    }
    Ok(place)
}

/// The name with a number before its ending; its stem gives way where it would be too long.
fn numbered(name: &Name, number: u64) -> Result<Name> {
    let text = name.as_str();
    // A dot at the beginning or the end parts no ending off.
    let dot = text.rfind('.').filter(|at| *at > 0 && at + 1 < text.len());
    let (stem, ending) = text.split_at(dot.unwrap_or(text.len()));
    let mark = format!(" ({number})");
    // An ending as long as a name is none.
    let (stem, ending) = if ending.len() + mark.len() < Name::MAX_BYTES {
        (stem, ending)
    } else {
        (text, "")
    };
    let mut stem = stem.to_owned();
    loop {
        match Name::new(&format!("{stem}{mark}{ending}")) {
            Err(Error::InvalidName(_)) if stem.pop().is_some() => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_stands_before_the_ending_and_the_name_stays_within_its_length() {
        let beside = |text: &str| {
            let name = numbered(&Name::new(text).unwrap(), 2).unwrap();
            name.as_str().to_owned()
        };
        assert_eq!(beside("a.txt"), "a (2).txt");
        assert_eq!(beside("a.tar.gz"), "a.tar (2).gz");
        assert_eq!(beside("README"), "README (2)");
        assert_eq!(beside(".profile"), ".profile (2)");
        assert_eq!(beside("a."), "a. (2)");
        let long = beside(&format!("{}.txt", "\u{fc}".repeat(125)));
        assert!(
            long.len() <= 255 && long.ends_with("\u{fc} (2).txt"),
            "{long}"
        );
        let odd = beside(&format!("a.{}", "b".repeat(253)));
        assert!(odd.len() == 255 && odd.ends_with("b (2)"), "{odd}");
    }
}
