"""What the language model on loopback sends: answers and errors in OpenAI's words and in Gemini's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

HTML = b"<!DOCTYPE html><html><head><title>503</title></head><body><h1>Service Unavailable</h1></body></html>"


@dataclass(slots=True)
class Verdict:
    """What is sent: after ``delay``, in ``parts`` over ``spread`` seconds, perhaps cut off."""

    status: int
    body: bytes
    headers: bytes = b""
    delay: float = 0.0
    spread: float = 0.0
    ending: Literal["whole", "broken", "dropped"] = "whole"
    holds: bool = False  # whether it takes one of the slots until it is sent


def envelope(gemini: bool, model: str, content: str, message: str, usage: bool, *, filtered: bool = False) -> bytes:
    read, written = len(message) // 4 + 1, len(content) // 4 + 1
    if gemini:
        candidate: dict[str, Any] = {"finishReason": "SAFETY" if filtered else "STOP", "index": 0}
        if not filtered:
            candidate["content"] = {"role": "model", "parts": [{"text": content}]}
        counts = {"promptTokenCount": read, "candidatesTokenCount": written, "totalTokenCount": read + written}
        reply = {"candidates": [candidate], "modelVersion": model} | ({"usageMetadata": counts} if usage else {})
    else:
        message_ = {"role": "assistant", "content": content, "refusal": None}
        choice = {"index": 0, "message": message_, "finish_reason": "content_filter" if filtered else "stop"}
        counts = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        reply = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": model, "choices": [choice]}
        reply |= {"usage": counts} if usage else {}
    return json.dumps(reply).encode()


STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}


def error(gemini: bool, status: int, code: str, message: str, details: Sequence[Any] = ()) -> Verdict:
    if gemini:
        error = {"code": status, "message": message, "status": STATUSES[status], "details": list(details)}
    else:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return Verdict(status, json.dumps({"error": error}).encode())


def wrong_key(gemini: bool, given: str) -> Verdict:
    """Gemini says 400 for it, and OpenAI repeats the key."""
    if gemini:
        details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
        return error(True, 400, "", "API key not valid. Please pass a valid API key.", details)
    return error(False, 401, "invalid_api_key", f"Incorrect API key provided: {given}.")
