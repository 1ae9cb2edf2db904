//! Builds requests. What is left out is decided by the coordinator, see [`Params`].

use protocol::request::{Care, ChatMessage, Input, Params, Request};

/// A request in the making.
///
/// ```
/// let request = client::Ask::chat("smollm2").system("Be brief.").user("Hello!").max_tokens(32).build();
/// assert_eq!(request.params.max_tokens, Some(32));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    model: String,
    prompt: Prompt,
    params: Params,
    care: Care,
}

#[derive(Clone, Debug, PartialEq)]
enum Prompt {
    Chat(Vec<ChatMessage>),
    Text(String),
}

impl Ask {
    /// A conversation, rendered by the model's chat template.
    pub fn chat(model: impl Into<String>) -> Self {
        Self { model: model.into(), prompt: Prompt::Chat(Vec::new()), params: Params::default(), care: Care::default() }
    }

    /// Plain text to go on with.
    pub fn text(model: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            prompt: Prompt::Text(prompt.into()),
            params: Params::default(),
            care: Care::default(),
        }
    }

    /// A turn of the system. In a text prompt, where there are no turns, it is put in front.
    #[must_use]
    pub fn system(self, text: impl Into<String>) -> Self {
        self.turn("system", text.into())
    }

    /// A turn of the user.
    #[must_use]
    pub fn user(self, text: impl Into<String>) -> Self {
        self.turn("user", text.into())
    }

    /// A turn of the model.
    #[must_use]
    pub fn assistant(self, text: impl Into<String>) -> Self {
        self.turn("assistant", text.into())
    }

    /// Turns that are there already.
    #[must_use]
    pub fn messages(mut self, turns: impl IntoIterator<Item = ChatMessage>) -> Self {
        for turn in turns {
            self = self.turn(&turn.role, turn.content);
        }
        self
    }

    fn turn(mut self, role: &str, text: String) -> Self {
        match &mut self.prompt {
            Prompt::Chat(turns) => turns.push(ChatMessage::new(role, text)),
            Prompt::Text(prompt) if role == "system" => prompt.insert_str(0, &text),
            Prompt::Text(prompt) => prompt.push_str(&text),
        }
        self
    }

    /// The longest answer in tokens.
    #[must_use]
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.params.max_tokens = Some(tokens);
        self
    }

    /// 0 for greedy.
    #[must_use]
    pub fn temperature(mut self, temperature: f32) -> Self {
        self.params.temperature = Some(temperature);
        self
    }

    /// The same seed gives the same answer.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.params.seed = Some(seed);
        self
    }

    /// How many answers.
    #[must_use]
    pub fn n(mut self, answers: u32) -> Self {
        self.params.n = Some(answers);
        self
    }

    /// A text that ends the answer and is not part of it; may be given several times.
    #[must_use]
    pub fn stop(mut self, text: impl Into<String>) -> Self {
        self.params.stop.push(text.into());
        self
    }

    /// Everything else at once; replaces what was set before.
    #[must_use]
    pub fn params(mut self, params: Params) -> Self {
        self.params = params;
        self
    }

    /// Names the conversation: its requests go to one node, as far as that is wise.
    #[must_use]
    pub fn session(mut self, name: impl Into<String>) -> Self {
        self.care.session = Some(name.into());
        self
    }

    /// How it is to be treated on its way; replaces what was set before.
    #[must_use]
    pub fn care(mut self, care: Care) -> Self {
        self.care = care;
        self
    }

    /// The request.
    pub fn build(self) -> Request {
        let input = match self.prompt {
            Prompt::Chat(turns) => Input::Chat(turns),
            Prompt::Text(text) => Input::Text(text),
        };
        Request { model: self.model, input, params: self.params, care: self.care, ..Request::default() }
    }
}

impl From<Ask> for Request {
    fn from(ask: Ask) -> Self {
        ask.build()
    }
}
