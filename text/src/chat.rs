//! Chat templates: Jinja, as Hugging Face writes it, with a limit on how long it may run.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, Value, context};
use protocol::request::ChatMessage;

use crate::bundle::TokenNames;

/// Instructions a template may use: real ones use a few per message, a hostile one cannot hang a thread.
const FUEL: u64 = 4_000_000;
const NAME: &str = "chat";

/// A conversation cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// The model cannot chat.
    #[error("this model has no chat template: use /v1/completions")]
    NoTemplate,
    /// Nothing was said.
    #[error("messages is empty: give at least one")]
    Empty,
    /// The model file's template is broken.
    #[error("the model's chat template cannot be read: {0}")]
    Template(String),
    /// The template does not accept these messages.
    #[error("the model's chat template refuses the messages: {0}")]
    Refused(String),
}

/// A model's chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
}

impl ChatTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// Text that is no template.
    pub fn new(source: &str) -> Result<Self, ChatError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| ChatError::Template(error.to_string()))?);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<Value, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| ChatError::Template(error.to_string()))?;
        Ok(Self { environment })
    }

    /// The text of a conversation, up to where the model's turn begins.
    ///
    /// # Errors
    /// Messages that the template refuses, or a template that does not come to an end.
    pub fn render(&self, messages: &[ChatMessage], names: &TokenNames) -> Result<String, ChatError> {
        if messages.is_empty() {
            return Err(ChatError::Empty);
        }
        let template = self.environment.get_template(NAME).map_err(|error| ChatError::Template(error.to_string()))?;
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| match &message.name {
                Some(name) => context! { role => &message.role, content => &message.content, name => name },
                None => context! { role => &message.role, content => &message.content },
            })
            .collect();
        let values = context! {
            messages => messages,
            // Absent, but defined: templates compare them with none, as the reference passes them.
            tools => (),
            documents => (),
            add_generation_prompt => true,
            bos_token => names.bos.as_deref().unwrap_or_default(),
            eos_token => names.eos.as_deref().unwrap_or_default(),
            unk_token => names.unk.as_deref().unwrap_or_default(),
            pad_token => names.pad.as_deref().unwrap_or_default(),
        };
        template.render(values).map_err(|error| {
            let reason = match error.kind() {
                ErrorKind::OutOfFuel => "it runs too long for these messages".to_owned(),
                _ => error.detail().map_or_else(|| error.to_string(), str::to_owned),
            };
            ChatError::Refused(reason)
        })
    }
}

#[cfg(test)]
mod tests;
