//! `convoy token`: a new token with the line of configuration that knows it,
//! or, with a verb, the tokens that a server issued.

use serde_json::{Value, json};

use super::Failure;
use super::client::{Server, segment};
use super::output::{Output, columns};
use crate::govern;
use crate::model::ContentHash;

/// Without a verb, nothing is asked of a server.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Have the server issue a token
    #[command(after_help = "Examples:\n  convoy token create ci --role reader --expires 90d\n  \
                            convoy token create edge --role node --node 'web-*' --stage beta")]
    Create(Create),
    /// List the tokens that you may see
    #[command(after_help = "Examples:\n  convoy token list -o json")]
    List(Server),
    /// Change what nodes with a token may be and see; open streams follow
    #[command(after_help = "Examples:\n  convoy token scope edge --secret 'web-*' --secret ca\n  \
                            convoy token scope edge --kind ''")]
    Scope(ScopeArgs),
    /// End a token at once
    #[command(after_help = "Examples:\n  convoy token revoke ci")]
    Revoke(One),
    /// Let a revoked token be used again
    #[command(after_help = "Examples:\n  convoy token activate ci")]
    Activate(One),
    /// Give a token a new secret; the old one ends at once
    #[command(after_help = "Examples:\n  convoy token rotate ci")]
    Rotate(One),
    /// Remove a token, and what was granted to it
    #[command(after_help = "Examples:\n  convoy token remove ci")]
    Remove(One),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// What it is called
    name: String,
    /// Whose it is; without it, a service's (or yours, if you are no administrator)
    #[arg(id = "for", long = "for", value_name = "PERSON")]
    whose: Option<String>,
    /// What it may do everywhere: guest, reader, operator, admin; or node, which
    /// is for xDS only and needs --node or --certificate, and --stage
    #[arg(long)]
    role: Option<String>,
    /// When it ends, as in 30d, 12h or 2027-01-31T00:00:00Z; without it, never
    #[arg(long, value_name = "END")]
    expires: Option<String>,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
struct ScopeArgs {
    /// What it is called
    name: String,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    server: Server,
}

/// What a token of nodes lets its holder be and see. Patterns: `*` is any text.
/// Each may be given many times.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "For nodes")]
struct Scope {
    /// Which node id its holder may have
    #[arg(long, value_name = "PATTERN")]
    node: Vec<String>,
    /// Which node cluster its holder may have
    #[arg(long, value_name = "PATTERN")]
    cluster: Vec<String>,
    /// From which repositories it is served
    #[arg(long, value_name = "PATTERN")]
    repository: Vec<String>,
    /// From which stages it is served
    #[arg(long, value_name = "PATTERN")]
    stage: Vec<String>,
    /// As which node groups it is served
    #[arg(long, value_name = "PATTERN")]
    group: Vec<String>,
    /// Which kinds of resource it sees, as in clusters; without any, all
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Which secrets it sees; without any, none
    #[arg(long, value_name = "PATTERN")]
    secret: Vec<String>,
    /// Which certificates stand for the token, by a URI or DNS name in them
    #[arg(long, value_name = "PATTERN")]
    certificate: Vec<String>,
}

impl Scope {
    /// What was given; a part that was given as empty is an empty list.
    fn body(&self) -> Value {
        let parts = [
            ("nodes", &self.node),
            ("clusters", &self.cluster),
            ("repositories", &self.repository),
            ("stages", &self.stage),
            ("groups", &self.group),
            ("kinds", &self.kind),
            ("secrets", &self.secret),
            ("certificates", &self.certificate),
        ];
        let given = parts.into_iter().filter(|(_, all)| !all.is_empty());
        let list = |all: &[String]| -> Vec<String> {
            all.iter().filter(|one| !one.is_empty()).cloned().collect()
        };
        given.map(|(part, all)| (part, list(all))).collect()
    }
}

#[derive(Debug, clap::Args)]
struct One {
    /// What it is called
    name: String,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    match &args.verb {
        None => offline(output),
        Some(Verb::Create(args)) => create(args, output).await,
        Some(Verb::List(server)) => list(server, output).await,
        Some(Verb::Scope(args)) => scope(args, output).await,
        Some(Verb::Revoke(one)) => act(one, "revoke", "is revoked", output).await,
        Some(Verb::Activate(one)) => act(one, "activate", "may be used again", output).await,
        Some(Verb::Rotate(one)) => {
            let path = format!("/govern/tokens/{}/rotate", segment(&one.name));
            show(&one.server.post(&path, &json!({})).await?, output);
            Ok(())
        }
        Some(Verb::Remove(one)) => {
            let path = format!("/govern/tokens/{}", segment(&one.name));
            output.done(&one.server.delete(&path).await?);
            Ok(())
        }
    }
}

fn offline(output: &Output) -> Result<(), Failure> {
    let fail = |error: govern::NoRandom| Failure::new(Failure::FAILED, error.to_string());
    let secret = govern::mint().map_err(fail)?;
    let hash = ContentHash::of(secret.expose().as_bytes());
    let value = json!({ "token": secret.expose(), "sha256": hash.to_string() });
    output.message("keep the token in a file that only its owner can read; it is shown once");
    output.result(&value, || format!("token:  {}\nsha256: {hash}\n", secret.expose()));
    Ok(())
}

async fn create(args: &Create, output: &Output) -> Result<(), Failure> {
    let mut body = json!({ "name": args.name });
    for (key, value) in [("person", &args.whose), ("role", &args.role), ("expires", &args.expires)]
    {
        if let Some(value) = value {
            body[key] = json!(value);
        }
    }
    let mut scope = args.scope.body();
    let certificates = scope.as_object_mut().and_then(|scope| scope.remove("certificates"));
    if let Some(certificates) = certificates {
        body["certificates"] = certificates;
    }
    if scope != json!({}) {
        body["scope"] = scope;
    }
    show(&args.server.post("/govern/tokens", &body).await?, output);
    Ok(())
}

async fn scope(args: &ScopeArgs, output: &Output) -> Result<(), Failure> {
    let body = args.scope.body();
    if body == json!({}) {
        let message = "nothing is to be changed; give --node, --stage, --secret or another part";
        return Err(Failure::new(Failure::USAGE, message));
    }
    let path = format!("/govern/tokens/{}/scope", segment(&args.name));
    let answer = args.server.put(&path, &body).await?;
    output.result(&answer, || {
        let scope = serde_json::to_string(&answer["scope"]).unwrap_or_default();
        format!("nodes with the token `{}` may be and see: {scope}\n", args.name)
    });
    Ok(())
}

/// The secret alone goes to stdout, so that it can be sent into a file.
fn show(answer: &Value, output: &Output) {
    output.message("keep the token in a file that only its owner can read; it is shown once");
    output.result(answer, || format!("{}\n", text(&answer["secret"])));
}

async fn list(server: &Server, output: &Output) -> Result<(), Failure> {
    let answer = server.get("/govern/tokens").await?;
    output.result(&answer, || {
        let head = ["NAME", "PERSON", "ROLE", "STATE", "ENDS", "STAGES", "NODES", "SECRETS"];
        let head = head.map(str::to_owned).to_vec();
        let tokens = answer["tokens"].as_array().into_iter().flatten();
        let row = |token: &Value| {
            let own = ["name", "person", "role", "state", "expires"].map(|key| text(&token[key]));
            let scope = ["stages", "nodes", "secrets"].map(|part| texts(&token["scope"][part]));
            own.into_iter().chain(scope).collect()
        };
        columns(&std::iter::once(head).chain(tokens.map(row)).collect::<Vec<_>>())
    });
    Ok(())
}

async fn act(one: &One, verb: &str, said: &str, output: &Output) -> Result<(), Failure> {
    let path = format!("/govern/tokens/{}/{verb}", segment(&one.name));
    let answer = one.server.post(&path, &json!({})).await?;
    output.result(&answer, || format!("the token `{}` {said}\n", one.name));
    Ok(())
}

fn texts(value: &Value) -> String {
    let all: Vec<_> = value.as_array().into_iter().flatten().map(text).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(",") }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}
