//! Pipelines of other systems that run `convoy ci`.

use std::io::Write as _;
use std::path::Path;

use super::Failure;
use crate::cli::validate::assess_folder;

/// Which system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum System {
    /// `.drone.yml`
    Drone,
    /// `.github/workflows/convoy.yaml`
    Github,
}

/// Prints the pipeline of a folder.
pub(super) fn print(system: System, dir: &Path, image: &str) -> Result<(), Failure> {
    let assessment = assess_folder(dir)?;
    let stages = assessment.manifest.iter().flat_map(|manifest| &manifest.stages);
    let mut versions: Vec<&str> =
        stages.flat_map(|spec| spec.envoy_versions.iter().map(String::as_str)).collect();
    versions.sort_unstable();
    versions.dedup();
    let text = text(system, dir, image, &versions)?;
    // A closed pipe is no failure: whoever reads has seen enough.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(())
}

/// Names go in as JSON, which is YAML for any text, and commands as words of
/// a shell.
fn text(system: System, dir: &Path, image: &str, versions: &[&str]) -> Result<String, Failure> {
    let Some(dir) = dir.to_str().filter(|dir| !Path::new(dir).is_absolute()) else {
        let message = format!("`{}` is not a path within a repository", dir.display());
        return Err(Failure::new(Failure::USAGE, message).with_hint(
            "call it from the repository's root, as in `convoy ci mesh --emit github`",
        ));
    };
    let install = match versions.is_empty() {
        true => String::new(),
        false => format!("convoy envoy install {}", versions.join(" ")),
    };
    let run = format!("convoy ci {} --junit convoy.xml --evidence convoy-evidence", word(dir));
    Ok(match system {
        System::Drone => drone(image, &install, &run),
        System::Github => github(image, &install, &run),
    })
}

fn drone(image: &str, install: &str, run: &str) -> String {
    let commands: String = [install, run]
        .iter()
        .filter(|command| !command.is_empty())
        .map(|command| format!("      - {}\n", quoted(command)))
        .collect();
    format!(
        "# Written by `convoy ci --emit drone`; save it as .drone.yml.\n\
         kind: pipeline\n\
         type: docker\n\
         name: convoy\n\
         trigger:\n  event: [push, pull_request]\n\
         steps:\n  \
         - name: convoy\n    \
         image: {}\n    \
         environment:\n      CONVOY_ENVOYS: /drone/src/.convoy/envoys\n      \
         CONVOY_SMOKE_CACHE: /drone/src/.convoy/cache\n    \
         commands:\n{commands}",
        quoted(image)
    )
}

fn github(image: &str, install: &str, run: &str) -> String {
    let install = match install.is_empty() {
        true => String::new(),
        false => format!("      - run: {}\n", quoted(install)),
    };
    format!(
        "# Written by `convoy ci --emit github`; save it as .github/workflows/convoy.yaml.\n\
         name: convoy\n\
         on: [push, pull_request]\n\
         permissions:\n  contents: read\n\
         jobs:\n  \
         convoy:\n    \
         runs-on: ubuntu-latest\n    \
         timeout-minutes: 30\n    \
         container:\n      image: {}\n      options: --privileged\n    \
         env:\n      CONVOY_ENVOYS: .convoy/envoys\n      \
         CONVOY_SMOKE_CACHE: .convoy/cache\n    \
         steps:\n      \
         - uses: actions/checkout@v4\n      \
         - uses: actions/cache@v4\n        with:\n          path: .convoy\n          \
         key: convoy-${{{{ github.sha }}}}\n          restore-keys: convoy-\n\
         {install}      \
         - run: {}\n      \
         - if: always()\n        \
         uses: actions/upload-artifact@v4\n        with:\n          name: convoy\n          \
         path: |\n            convoy.xml\n            convoy-evidence\n",
        quoted(image),
        quoted(run)
    )
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A word of a shell, whatever is in it.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    match !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn parsed(system: System, dir: &str, versions: &[&str]) -> Value {
        let text = text(system, Path::new(dir), "registry/convoy:1", versions).unwrap();
        serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    #[test]
    fn drone_takes_what_is_emitted() {
        let pipeline = parsed(System::Drone, "mesh", &["1.36.4", "1.40.0"]);
        assert_eq!((&pipeline["kind"], &pipeline["type"]), (&"pipeline".into(), &"docker".into()));
        let step = &pipeline["steps"][0];
        assert_eq!(step["image"], "registry/convoy:1");
        assert_eq!(step["commands"][0], "convoy envoy install 1.36.4 1.40.0");
        let run = step["commands"][1].as_str().unwrap();
        assert!(run.starts_with("convoy ci mesh --junit convoy.xml"), "{run}");
        assert!(step["environment"]["CONVOY_ENVOYS"].is_string());
    }

    #[test]
    fn github_takes_what_is_emitted() {
        let workflow = parsed(System::Github, ".", &["1.40.0"]);
        // YAML 1.1 reads `on` as true, and GitHub knows it.
        assert!(workflow["on"].is_array() || workflow.get("true").is_some(), "{workflow}");
        let job = &workflow["jobs"]["convoy"];
        assert_eq!(job["runs-on"], "ubuntu-latest");
        let steps = job["steps"].as_array().unwrap();
        let each = |step: &Value| step["uses"].is_string() != step["run"].is_string();
        assert!(steps.iter().all(each), "{steps:?}");
        let runs: Vec<_> = steps.iter().filter_map(|step| step["run"].as_str()).collect();
        assert_eq!(runs[0], "convoy envoy install 1.40.0");
        assert!(runs[1].starts_with("convoy ci . "), "{runs:?}");
        assert_eq!(steps[1]["with"]["key"], "convoy-${{ github.sha }}");
    }

    #[test]
    fn a_folder_of_any_name_is_one_word() {
        let pipeline = parsed(System::Drone, "my mesh'; rm -rf \"x\"", &[]);
        let commands = pipeline["steps"][0]["commands"].as_array().unwrap();
        assert_eq!(commands.len(), 1);
        let run = commands[0].as_str().unwrap();
        assert!(run.starts_with("convoy ci 'my mesh'\\''; rm -rf \"x\"' --junit"), "{run}");
        assert!(text(System::Github, Path::new("/etc"), "x", &[]).is_err());
    }
}
