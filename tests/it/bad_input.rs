//! Bad input of every sort: a clear error that names the place, nothing lost,
//! and everything else goes on. This page says which test shows what.
//!
//! | input | shown by |
//! | --- | --- |
//! | broken YAML, duplicate key, alias bomb, nesting 100,000 deep, 50 MB file, in each kind of file | [`folders`]: `every_mistake_of_a_folder_is_told_with_its_place`; `render::yaml`, `render::document` |
//! | undefined variable, endless template | [`folders`]; `render::template` |
//! | unknown field in a nested `typed_config`, route to a missing cluster, two resources of one name | [`folders`]; `render::typed`, `snapshot::references` |
//! | missing manifest | [`folders`]: `a_folder_without_a_manifest_says_so`; [`served`]: `what_a_commit_breaks_stops_nothing_and_the_next_goes_on` |
//! | unknown stage in the name of a file, in a check | [`folders`]; `render::layout` |
//! | 50 MB file in a push, symlink, submodule | [`served`]: `what_a_commit_breaks_stops_nothing_and_the_next_goes_on`; `store`, `mirror` |
//! | empty repository | [`served`]: the same; `mirror`: `a_missing_branch_and_an_empty_repository_have_no_branch` |
//! | a commit with a typo | `journey`: `a_broken_commit_stops_nothing_and_names_its_line` |
//! | force-push | `journey`: `a_rewritten_upstream_changes_nothing_until_a_person_adopts_it` |
//! | upstream down, silent, wrong token | [`served`]: `an_upstream_that_fails_holds_up_no_other`; `mirror`: one test each, also slow |
//! | webhook forged, replayed | [`requests`]: `a_webhook_nudges_once_and_only_with_a_signature`; `web::hooks::github` |
//! | Slack forged, stale, replayed, unknown user, wrong stage, author approving, double click | [`requests`]: `what_slack_sends_wrongly_is_refused_with_its_reason`; `web::hooks`, `chat::ingress`, `journey` |
//! | author approving by API and console | [`requests`]: `an_author_approves_on_no_way`; `journey` |
//! | Envoy version not installed | [`served`]: `an_envoy_that_is_missing_is_named_and_asked_for_again`; `smoke` |
//! | check script that hangs | [`served`]: `a_script_that_hangs_fails_its_bundle_only`; `smoke`: `a_script_that_hangs_is_killed_and_fails` |
//! | configuration with an unknown key, a bad value, an open secret | [`process`]: `every_mistake_of_the_configuration_is_told_with_its_place` |
//! | data folder in use, port in use | [`process`]: `what_another_process_holds_is_named` |
//! | `index/` deleted, kill -9 | [`process`]: `the_index_may_be_deleted`; `journey`: `what_was_decided_survives_kill_nine_at_any_point` |
//! | SIGTERM | `journey`: `sigterm_drains_and_exits_with_zero` |

mod folders;
mod process;
mod requests;
mod served;

/// One stage that takes what is valid.
const ONE_STAGE: &str = "stages:\n  - {name: beta, auto: true}\n";
/// A cluster without mistakes.
const CLUSTER: &str = "name: users\nconnect_timeout: 1s\n\
                       load_assignment: {cluster_name: users}\noutlier_detection: {}\n";
