use super::*;
use crate::config::byte_size::ByteSize;
use crate::config::log::Format;

fn load(file: Option<&str>, pairs: &[(&str, &str)]) -> Result<Config, Error> {
    let folder = tempfile::tempdir().unwrap();
    let mut common = CommonFlags::default();
    if let Some(text) = file {
        let path = folder.path().join("coffer.toml");
        std::fs::write(&path, text).unwrap();
        common.config = Some(path);
    }
    Config::load(&variables(pairs), &common, &ServeFlags::default())
}

fn variables(pairs: &[(&str, &str)]) -> Variables {
    Variables::from_pairs(
        pairs
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned())),
    )
}

fn refusal(file: Option<&str>, pairs: &[(&str, &str)]) -> String {
    load(file, pairs).unwrap_err().to_string()
}

#[test]
fn nothing_given_is_a_valid_configuration() {
    let config = load(None, &[]).unwrap();
    assert_eq!(config.listen.address, ["127.0.0.1:8080"]);
    assert!(config.data.is_absolute() && config.data.ends_with("coffer-data"));
    assert_eq!(config.accounts.default_quota, ByteSize(50_000_000_000));
}

#[test]
fn the_environment_wins_over_the_file_and_flags_over_both() {
    let file = "data = 'a'\n[log]\nformat = 'text'\n[listen]\naddress = ['h:1']\n";
    let pairs = [("COFFER_LOG_FORMAT", "json"), ("COFFER_LISTEN", "h:2, h:3")];
    let config = load(Some(file), &pairs).unwrap();
    assert!(config.data.ends_with("a"));
    assert_eq!(config.log.format, Format::Json);
    assert_eq!(config.listen.address, ["h:2", "h:3"]);

    let common = CommonFlags {
        data: Some("b".into()),
        ..CommonFlags::default()
    };
    let serve = ServeFlags {
        listen: vec!["h:4".into()],
        ..ServeFlags::default()
    };
    let config = Config::load(&variables(&pairs), &common, &serve).unwrap();
    assert!(config.data.ends_with("b"));
    assert_eq!(config.listen.address, ["h:4"]);
}

#[test]
fn variables_take_the_type_of_their_key() {
    let config = load(
        None,
        &[
            ("COFFER_SERVER_WORKERS", "3"),
            ("COFFER_DATABASE_PRE_PING", "true"),
            ("COFFER_CAPACITY_LIMIT_BYTES", "5GB"),
            ("COFFER_ADMIN_NAME", "123"),
            ("COFFER_ACCOUNTS_LOGIN_IDLE", "1h"),
            ("COFFER_LOG_FILE", ""),
        ],
    )
    .unwrap();
    assert_eq!(config.server.workers, 3);
    assert!(config.database.pre_ping);
    assert_eq!(config.capacity.limit_bytes, Some(ByteSize(5_000_000_000)));
    assert_eq!(config.admin.login_name(), "123");
    assert_eq!(config.accounts.login_idle, age::Age::hours(1));
    assert_eq!(config.log.file, None);
}

#[test]
fn a_wrong_key_is_named_with_its_reason() {
    let unknown = refusal(Some("[listen]\nadress = ['h:1']\n"), &[]);
    assert!(
        unknown.contains("adress") && unknown.contains("line 2"),
        "{unknown}"
    );
    let kind = refusal(Some("[server]\nworkers = 'many'\n"), &[]);
    assert!(kind.contains("workers"), "{kind}");
    let variable = refusal(None, &[("COFFER_SERVER_WORKERS", "many")]);
    assert!(variable.contains("COFFER_SERVER_WORKERS"), "{variable}");
    let variable = refusal(None, &[("COFFER_LOG_COLOUR", "red")]);
    assert!(variable.contains("COFFER_LOG_COLOUR"), "{variable}");
    for name in [
        "COFFER_ACOUNTS_REGISTRATION",
        "COFFER_REGISTRATION",
        "COFFER_DATABASE",
    ] {
        let variable = refusal(None, &[(name, "closed")]);
        assert!(variable.contains(name), "{variable}");
    }
    let value = refusal(None, &[("COFFER_DATABASE_URL", "mysql://x")]);
    assert!(value.contains("database.url: must begin with"), "{value}");
    assert!(
        !value.contains("mysql"),
        "a secret stays out of messages: {value}"
    );
    let missing = refusal(None, &[("COFFER_CONFIG", "/nowhere/coffer.toml")]);
    assert!(
        missing.contains("/nowhere/coffer.toml cannot be read"),
        "{missing}"
    );
}

#[test]
fn what_an_orchestrator_says_about_a_service_of_our_name_is_no_setting() {
    let pairs = [
        ("COFFER_SERVICE_HOST", "10.0.0.1"),
        ("COFFER_SERVICE_PORT_HTTP", "80"),
        ("COFFER_PORT", "tcp://10.0.0.1:80"),
        ("COFFER_PORT_80_TCP_ADDR", "10.0.0.1"),
    ];
    assert!(load(None, &pairs).is_ok());
    assert!(refusal(None, &[("COFFER_PORT", "8080")]).contains("COFFER_PORT"));
}

#[test]
fn no_message_repeats_a_value() {
    for file in [
        "[admin]\npassword = hush\n",
        "[admin]\npassword = \"hush\n",
        "[admin]\npassword = 'hush' hush\n",
        "admin = 'hush'\n",
        "admin = { name = 'hush', password = ['hush, expected hush'] }\n",
        "[jwt]\nsecret = 'hush'\nsecret = 'hush'\n",
        "[jwt]\nsecret = 'hush, which is shorter than it has to be'\n[log]\nformat = 'hush'\n",
    ] {
        let message = refusal(Some(file), &[]);
        assert!(!message.contains("hush"), "{message}");
        assert!(message.contains("line "), "{message}");
    }
    let number = refusal(Some("[admin]\npassword = 19283746\n"), &[]);
    assert!(
        number.ends_with("line 2: password: expected a string"),
        "{number}"
    );
    let line = assignments(Path::new(".env"), "COFFER_ADMIN_PASSWORD=ha hush\n");
    let line = line.unwrap_err().to_string();
    assert!(line.contains(".env") && !line.contains("hush"), "{line}");
}

#[test]
fn a_secret_may_stand_in_a_file_of_its_own_but_not_in_both_places() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "0123456789abcdef0123456789abcdef\n").unwrap();
    let path = path.to_str().unwrap();

    let config = load(None, &[("COFFER_JWT_SECRET_FILE", path)]).unwrap();
    assert_eq!(
        config.jwt.secret.unwrap().reveal(),
        "0123456789abcdef0123456789abcdef"
    );

    let both = format!("[jwt]\nsecret = 'x'\nsecret_file = '{path}'\n");
    assert!(refusal(Some(&both), &[]).contains("jwt.secret_file: `jwt.secret` is given as well"));
    let gone = refusal(None, &[("COFFER_ADMIN_PASSWORD_FILE", "/nowhere/x")]);
    assert!(
        gone.contains("admin.password_file: /nowhere/x cannot be read"),
        "{gone}"
    );
    // From a higher layer it replaces the twin below.
    let file = "[jwt]\nsecret = 'of the file, which has at least 32 bytes'\n";
    assert!(load(Some(file), &[("COFFER_JWT_SECRET_FILE", path)]).is_ok());
}

#[test]
fn showing_the_configuration_masks_its_secrets() {
    let url = "postgres://coffer:hush@db/coffer";
    let config = load(
        None,
        &[
            ("COFFER_DATABASE_URL", url),
            ("COFFER_ADMIN_PASSWORD", "hush"),
        ],
    );
    let config = config.unwrap();
    let shown = config.to_toml().unwrap();
    assert!(
        !shown.contains("hush") && shown.contains("********"),
        "{shown}"
    );
    assert!(!format!("{config:?}").contains("hush"));
}

const EXAMPLE: &str = include_str!("../../../packaging/coffer.example.toml");
const ENV_EXAMPLE: &str = include_str!("../../../packaging/env.example");
const OPERATIONS: &str = include_str!("../../../docs/OPERATIONS.md");

/// The settings of the example, those behind a `#` included.
fn uncommented(example: &str) -> String {
    let setting = |line: &str| {
        let line = line.strip_prefix('#').unwrap_or(line);
        let key: String = line
            .chars()
            .take_while(|c| matches!(c, 'a'..='z' | '0'..='9' | '_'))
            .collect();
        let is_setting = !key.is_empty() && line[key.len()..].starts_with(" =");
        (is_setting || line.starts_with('[')).then(|| format!("{line}\n"))
    };
    example.lines().filter_map(setting).collect()
}

#[test]
fn the_example_file_loads_as_it_is_and_means_the_defaults() {
    let config: Config = toml::from_str(EXAMPLE).unwrap();
    assert_eq!(
        config.to_toml().unwrap(),
        Config::default().to_toml().unwrap()
    );
}

#[test]
fn the_example_file_names_every_setting() {
    let all: Table = toml::from_str(&uncommented(EXAMPLE)).unwrap();
    let _: Config = all.clone().try_into().unwrap();
    let defaults = Table::try_from(Config::default()).unwrap();
    for (section, value) in &defaults {
        let Value::Table(keys) = value else { continue };
        for key in keys.keys() {
            assert!(
                all[section].get(key).is_some(),
                "{section}.{key} is missing"
            );
        }
    }
    for (section, key) in [
        ("listen", "tls_certificate"),
        ("listen", "public_url"),
        ("listen", "unix_path"),
        ("database", "url_file"),
        ("blobs", "path"),
        ("admin", "password_file"),
        ("jwt", "secret_file"),
        ("capacity", "limit_bytes"),
        ("log", "file"),
        ("server", "pid_file"),
    ] {
        assert!(
            all[section].get(key).is_some(),
            "{section}.{key} is missing"
        );
    }
}

#[test]
fn the_administrators_table_has_every_setting_of_the_example_with_its_default() {
    let mut section = String::new();
    let mut settings = 0;
    for line in EXAMPLE.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.replace(']', ".");
            continue;
        }
        let setting = line.strip_prefix('#').unwrap_or(line);
        let Some((key, value)) = setting.split_once(" = ") else {
            continue;
        };
        if key.contains(' ') {
            continue;
        }
        let default = if setting == line {
            format!("`{value}`")
        } else {
            "–".to_owned()
        };
        let key = format!("{section}{key}");
        let variable = key.replace('.', "_").to_uppercase();
        let row = format!("\n| `{key}` | `{PREFIX}{variable}` | {default} | ");
        assert!(OPERATIONS.contains(&row), "{row}");
        settings += 1;
    }
    assert!(settings > 60, "only {settings} settings were found");
}

#[test]
fn the_example_of_the_environment_loads() {
    let pairs: Vec<(String, String)> = ENV_EXAMPLE
        .lines()
        .map(|line| line.strip_prefix('#').unwrap_or(line))
        .filter(|line| line.starts_with(PREFIX))
        .map(|line| line.split_once('=').unwrap())
        // The files it names are not there while testing.
        .filter(|(name, _)| !name.ends_with("_FILE") && *name != CONFIG_VARIABLE)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert!(pairs.len() > 5);
    let variables = Variables::from_pairs(pairs);
    Config::load(&variables, &CommonFlags::default(), &ServeFlags::default()).unwrap();
    assert!(dotenvy::Iter::new(ENV_EXAMPLE.as_bytes()).all(|line| line.is_ok()));
}
