//! The first report of a mount, and who wants to know a folder before it is there.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_the_first_report_tells_is_not_asked_for_again() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let other = drive.as_other();
    other.make_folder("a").unwrap();
    // Many parts: of each the next is asked for while it is taken over.
    let files: Vec<_> = (0..950).map(|number| format!("f{number:03}")).collect();
    for file in &files {
        other.write(&format!("a/{file}"), "1").unwrap();
    }
    let fs = start(&drive, &cache).await;
    let folder = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    assert_eq!(names(&fs, folder).await, files);
    assert_eq!(drive.count(Verb::List), 0);
}

#[tokio::test(start_paused = true)]
async fn a_first_report_that_does_not_come_is_not_waited_for() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    drive.as_other().write("a", "1").unwrap();
    drive.fail_next(Some(Verb::Changes), Fault::HeldBefore);
    let fs = start(&drive, &cache).await;
    let began = tokio::time::Instant::now();
    assert_eq!(names(&fs, ROOT).await, ["a"]);
    assert!(began.elapsed() < Duration::from_secs(1));
    // Nor is it once it has failed, or by who comes later.
    let cache = TempDir::new().unwrap();
    drive.fail_next(Some(Verb::Changes), Fault::Busy);
    let fs = start(&drive, &cache).await;
    assert_eq!(names(&fs, ROOT).await, ["a"]);
}
