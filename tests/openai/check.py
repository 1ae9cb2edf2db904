"""The official `openai` client against a running cluster: one line `ok NAME` per thing that works.

Reads OPENAI_BASE_URL, OPENAI_API_KEY and TROUPE_MODEL; the model must be a chat model that knows the
capital of France. Ends with an error at the first thing that does not work.
"""

import os

import openai

MODEL = os.environ["TROUPE_MODEL"]
FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
client = openai.OpenAI(max_retries=0, timeout=60)


def chat(**more):
    return client.chat.completions.create(**{"model": MODEL, "messages": FRANCE, "max_tokens": 24, "temperature": 0, **more})


def expect(condition, seen):
    if not condition:
        raise SystemExit(f"unexpected: {seen!r}")


def raises(kind, status, call):
    try:
        seen = call()
    except kind as error:
        expect(error.status_code == status, error)
        return error
    raise SystemExit(f"expected {kind.__name__}, got {seen!r}")


def models():
    names = [model.id for model in client.models.list()]
    expect(MODEL in names, names)


def chat_whole():
    answer = chat()
    choice = answer.choices[0]
    expect("Paris" in choice.message.content and choice.message.role == "assistant", answer)
    expect(choice.finish_reason in ("stop", "length"), answer)
    usage = answer.usage
    expect(usage.prompt_tokens > 0 and usage.completion_tokens > 0, usage)
    expect(usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, usage)


def chat_streamed():
    pieces = list(chat(stream=True))
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    expect(text == chat().choices[0].message.content, text)
    reasons = [choice.finish_reason for piece in pieces for choice in piece.choices if choice.finish_reason]
    expect(len(reasons) == 1, reasons)
    expect(all(piece.usage is None for piece in pieces), pieces)
    expect(len({piece.id for piece in pieces}) == 1, pieces)


def usage_in_the_stream():
    *pieces, last = chat(stream=True, stream_options={"include_usage": True})
    expect(last.choices == [] and last.usage == chat().usage.model_copy(update={
        "prompt_tokens_details": last.usage.prompt_tokens_details}), last)
    expect(all(piece.usage is None for piece in pieces), pieces)


def max_completion_tokens():
    answer = chat(max_tokens=openai.omit, max_completion_tokens=2)
    expect(answer.usage.completion_tokens == 2 and answer.choices[0].finish_reason == "length", answer)


def completions():
    ask = {"model": MODEL, "prompt": "The capital of France is", "max_tokens": 8, "temperature": 0}
    whole = client.completions.create(**ask)
    expect(len(whole.choices[0].text) > 0 and whole.object == "text_completion", whole)
    streamed = "".join(piece.choices[0].text for piece in client.completions.create(**ask, stream=True))
    expect(streamed == whole.choices[0].text, streamed)


def n_is_2():
    answer = chat(n=2, temperature=1, seed=5)
    expect([choice.index for choice in answer.choices] == [0, 1], answer)
    indices = {choice.index for piece in chat(n=2, stream=True) for choice in piece.choices}
    expect(indices == {0, 1}, indices)


def stop():
    whole = chat().choices[0].message.content
    cut = chat(stop=["Paris"]).choices[0]
    expect(cut.message.content == whole.split("Paris")[0] and cut.finish_reason == "stop", cut)
    streamed = "".join(piece.choices[0].delta.content or "" for piece in chat(stop="Paris", stream=True))
    expect(streamed == cut.message.content, streamed)


def seed():
    once, again = (chat(seed=7, temperature=1).choices[0].message.content for _ in range(2))
    expect(once == again, (once, again))
    others = {chat(seed=number, temperature=1.5).choices[0].message.content for number in range(4)}
    expect(len(others) > 1, others)


def logprobs():
    tokens = chat(logprobs=True, top_logprobs=3).choices[0].logprobs.content
    for token in tokens:
        expect(token.logprob <= 0 and len(token.top_logprobs) == 3, token)
        # Greedy: the chosen one is the best.
        expect(token.top_logprobs[0].logprob >= token.logprob - 1e-4, token)
    text = b"".join(bytes(token.bytes) for token in tokens).decode(errors="replace")
    expect("Paris" in text, text)


def logit_bias():
    first = chat(max_tokens=1, logprobs=True, top_logprobs=1)
    biased = chat(max_tokens=1, logit_bias={"100": 100})
    expect(first.choices[0].message.content != biased.choices[0].message.content, biased)


def bad_key():
    stranger = openai.OpenAI(api_key="wrong", max_retries=0)
    error = raises(openai.AuthenticationError, 401, lambda: stranger.models.list())
    expect(error.code == "invalid_api_key", error)


def unknown_model():
    error = raises(openai.NotFoundError, 404, lambda: chat(model="gpt-9"))
    expect(error.code == "model_not_found" and "gpt-9" in error.message, error)


def bad_parameter():
    error = raises(openai.BadRequestError, 400, lambda: chat(temperature=9))
    expect(error.param == "temperature", error)


for check in (
    models, chat_whole, chat_streamed, usage_in_the_stream, max_completion_tokens, completions, n_is_2, stop,
    seed, logprobs, logit_bias, bad_key, unknown_model, bad_parameter,
):
    check()
    print(f"ok {check.__name__}", flush=True)
