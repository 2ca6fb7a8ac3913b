//! Which repository, stage or bundle a line means, where it does not say.

use std::collections::BTreeSet;

use crate::model::{BundleId, Manifest, PromotionId, RepoName, Stage, did_you_mean};
use crate::promote::{BundleRecord, Promotion, Refusal, RefusalKind};
use crate::reconcile::{View, find_bundle};

/// The repository: the named one, else the default, else the only one with a
/// pipeline, else the only one that has `stage`.
pub(super) fn repo(
    view: &View,
    named: Option<&RepoName>,
    default: Option<&RepoName>,
    stage: Option<&Stage>,
) -> Result<RepoName, Refusal> {
    let all: Vec<_> = view.manifests.keys().collect();
    if let Some(named) = named {
        let known = view.manifests.contains_key(named) || view.mirrors.contains_key(named);
        return if known { Ok(named.clone()) } else { Err(no_repo(named, &all)) };
    }
    if let Some(default) = default {
        return Ok(default.clone());
    }
    if let [only] = all.as_slice() {
        return Ok((*only).clone());
    }
    if all.is_empty() {
        let message = "no repository has a pipeline so far".to_owned();
        return Err(not_found(message, "push a convoy.yaml to a mirrored repository".into()));
    }
    let has = |repo: &&&RepoName| {
        stage.is_some_and(|stage| {
            view.manifests.get(**repo).is_some_and(|manifest| manifest.stage(stage).is_some())
        })
    };
    match all.iter().filter(has).collect::<Vec<_>>().as_slice() {
        [only] => Ok((**only).clone()),
        [] => Err(ambiguous(&all)),
        several => Err(ambiguous(&several.iter().map(|repo| **repo).collect::<Vec<_>>())),
    }
}

/// Checks that the repository's pipeline has `stage`.
pub(super) fn stage<'a>(
    view: &'a View,
    repo: &RepoName,
    stage: &Stage,
) -> Result<&'a Manifest, Refusal> {
    let manifest = manifest(view, repo)?;
    if manifest.stage(stage).is_some() {
        return Ok(manifest);
    }
    let stages: Vec<_> = manifest.stages.iter().map(|spec| spec.name.as_str()).collect();
    let meant = did_you_mean(stage.as_str(), stages.iter().copied());
    let meant = meant.map_or(String::new(), |hint| format!("{hint} "));
    let hint = format!("{meant}its stages are {}", stages.join(", "));
    Err(not_found(format!("{repo} has no stage `{stage}`"), hint))
}

/// The repository's pipeline.
pub(super) fn manifest<'a>(view: &'a View, repo: &RepoName) -> Result<&'a Manifest, Refusal> {
    let none = || {
        let hint = "push a valid convoy.yaml; `why` and the console show what is wrong with it";
        not_found(format!("{repo} has no pipeline"), hint.into())
    };
    view.manifests.get(repo).ok_or_else(none)
}

/// The bundle that `text` names by its id or a unique beginning of it, of at
/// least four characters behind `b-`.
pub(super) fn bundle<'a>(
    view: &'a View,
    repo: &RepoName,
    text: &str,
) -> Result<&'a BundleRecord, Refusal> {
    let text = text.to_lowercase();
    let exact = BundleId::new(&text).ok().and_then(|id| view.state.bundles.get(&id));
    if let Some(bundle) = exact.filter(|bundle| &bundle.repo == repo) {
        return Ok(bundle);
    }
    let digits = text.strip_prefix("b-").unwrap_or(&text);
    let of_repo = view.state.bundles.values().filter(|bundle| &bundle.repo == repo);
    let begins = |bundle: &&BundleRecord| {
        digits.len() >= 4 && bundle.id.as_str().trim_start_matches("b-").starts_with(digits)
    };
    let found: Vec<_> = of_repo.filter(begins).collect();
    match found.as_slice() {
        [only] => Ok(only),
        [] => Err(not_found(
            format!("{repo} has no stage and no bundle `{text}`"),
            "`status` shows the stages and their bundles".into(),
        )),
        several => {
            let ids: Vec<_> = several.iter().take(5).map(|bundle| bundle.id.as_str()).collect();
            let message = format!("`{text}` begins {} bundles", several.len());
            Err(Refusal {
                kind: RefusalKind::Invalid,
                message,
                hint: format!("write more of one: {}", ids.join(", ")),
            })
        }
    }
}

/// The bundle that a source means: `#PR` and `PR-12` by the subject of the
/// merge, everything else as the reconciler finds it.
pub(super) fn source(view: &View, repo: &RepoName, text: &str) -> Result<BundleId, Refusal> {
    let number = text.strip_prefix('#').or_else(|| text.strip_prefix("PR-"));
    if let Some(number) = number.filter(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    {
        return pull_request(view, repo, number);
    }
    find_bundle(&view.state, repo, text)
}

/// The newest bundle whose commit is the merge of a pull request, by the two
/// subjects that GitHub gives it.
fn pull_request(view: &View, repo: &RepoName, number: &str) -> Result<BundleId, Refusal> {
    let (squashed, merged) = (format!("(#{number})"), format!("Merge pull request #{number} "));
    let is_merge = |bundle: &&BundleRecord| {
        let subject = bundle.commit.subject();
        &bundle.repo == repo && (subject.ends_with(&squashed) || subject.starts_with(&merged))
    };
    let found = view.state.bundles.values().filter(is_merge);
    let newest = found.max_by_key(|bundle| bundle.commit.revision);
    newest.map(|bundle| bundle.id.clone()).ok_or_else(|| {
        let message = format!("no bundle of {repo} is the merge of #{number}");
        not_found(message, "`list bundles` shows what was rendered".into())
    })
}

/// The promotion of this name.
pub(super) fn promotion<'a>(view: &'a View, id: &PromotionId) -> Result<&'a Promotion, Refusal> {
    view.state.promotions.get(id).ok_or_else(|| {
        not_found(format!("there is no promotion {id}"), "`list promotions` shows them".into())
    })
}

fn no_repo(named: &RepoName, all: &[&RepoName]) -> Refusal {
    let meant = did_you_mean(named.as_str(), all.iter().map(|repo| repo.as_str()));
    let meant = meant.map_or(String::new(), |hint| format!("{hint} "));
    not_found(format!("there is no repository `{named}`"), format!("{meant}{}", list(all)))
}

fn ambiguous(repos: &[&RepoName]) -> Refusal {
    Refusal {
        kind: RefusalKind::Invalid,
        message: "more than one repository could be meant".into(),
        hint: format!("add `--repo PROJECT/REPOSITORY`; {}", list(repos)),
    }
}

fn list(repos: &[&RepoName]) -> String {
    let names: BTreeSet<_> = repos.iter().map(|repo| repo.as_str()).collect();
    let names: Vec<_> = names.into_iter().take(20).collect();
    format!("there are: {}", names.join(", "))
}

fn not_found(message: String, hint: String) -> Refusal {
    Refusal { kind: RefusalKind::NotFound, message, hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::samples;

    fn view(repos: &[(&str, &[&str])]) -> View {
        let mut view = View { state: samples::state(Vec::new()).into(), ..View::default() };
        for (name, stages) in repos {
            let mut manifest = samples::manifest();
            let spec = manifest.stages[0].clone();
            let named = |name: &&str| crate::model::StageSpec {
                name: samples::stage(name),
                ..spec.clone()
            };
            manifest.stages = stages.iter().map(named).collect();
            view.manifests.insert(RepoName::new(name).unwrap(), manifest);
        }
        view
    }

    fn chosen(
        view: &View,
        named: Option<&str>,
        stage_name: Option<&str>,
    ) -> Result<String, String> {
        let named = named.map(|name| RepoName::new(name).unwrap());
        let stage = stage_name.map(samples::stage);
        let chosen = repo(view, named.as_ref(), None, stage.as_ref());
        chosen
            .map(|repo| repo.to_string())
            .map_err(|refusal| format!("{} {}", refusal.message, refusal.hint))
    }

    #[test]
    fn the_only_repository_is_meant_without_being_named() {
        let one = view(&[("mesh/config", &["beta"])]);
        assert_eq!(chosen(&one, None, None).as_deref(), Ok("mesh/config"));
        assert!(chosen(&one, Some("mesh/confg"), None).unwrap_err().contains("`mesh/config`"));
        assert!(chosen(&view(&[]), None, None).unwrap_err().contains("pipeline"));
    }

    #[test]
    fn among_several_the_stage_decides_or_nothing_does() {
        let two = view(&[("mesh/a", &["beta", "edge"]), ("mesh/b", &["beta"])]);
        assert_eq!(chosen(&two, None, Some("edge")).as_deref(), Ok("mesh/a"));
        for stage in [None, Some("beta"), Some("nowhere")] {
            let refusal = chosen(&two, None, stage).unwrap_err();
            assert!(refusal.contains("mesh/a, mesh/b"), "{refusal}");
        }
        assert_eq!(chosen(&two, Some("mesh/b"), Some("beta")).as_deref(), Ok("mesh/b"));
    }

    #[test]
    fn a_wrong_stage_is_answered_with_the_right_ones() {
        let one = view(&[("mesh/config", &["beta", "canary"])]);
        let refusal = stage(&one, &samples::repo(), &samples::stage("cannary")).unwrap_err();
        assert_eq!(refusal.hint, "did you mean `canary`? its stages are beta, canary");
    }

    #[test]
    fn a_bundle_is_found_by_its_beginning_if_only_one_has_it() {
        let mut view = view(&[("mesh/config", &["beta"])]);
        let mut state = samples::state(Vec::new());
        for id in ["b-abcd1111", "b-abcd2222"] {
            let bundle = samples::bundle(id, 1);
            state.put(crate::promote::Document::Bundle(Box::new(bundle)));
        }
        view.state = state.into();
        let find = |text: &str| bundle(&view, &samples::repo(), text);
        assert_eq!(find("abcd1").unwrap().id.as_str(), "b-abcd1111");
        assert_eq!(find("B-ABCD2222").unwrap().id.as_str(), "b-abcd2222");
        assert!(find("abcd").unwrap_err().hint.contains("b-abcd1111, b-abcd2222"));
        assert_eq!(find("abc").unwrap_err().kind, RefusalKind::NotFound);
    }
}
