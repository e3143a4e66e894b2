/** The base class of everything that this package throws. */
export class AuthServiceError extends Error {
    name = "AuthServiceError";
}
/** No answer came in time: the call may have been carried out. Repeat it with the same key to find out. */
export class Unreachable extends AuthServiceError {
    name = "Unreachable";
}
/** The answer is not from the service but from a proxy, or from another server at this address. */
export class UnexpectedAnswer extends AuthServiceError {
    status;
    name = "UnexpectedAnswer";
    constructor(status) {
        super(`HTTP ${status}, and not a document of the service: is the address right?`);
        this.status = status;
    }
}
/** The access token is not live. */
export class TokenRefused extends AuthServiceError {
    name = "TokenRefused";
}
/** Nobody is signed in here, or the session has ended. */
export class SignedOut extends AuthServiceError {
    name = "SignedOut";
}
/** The delivery is not signed with one of your secrets, is too old, or is not an event. */
export class WebhookRefused extends AuthServiceError {
    name = "WebhookRefused";
}
/**
 * A refusal by the service (RFC 9457). Branch on `code`; `document` has the members that the code adds, typed once its
 * `code` has been compared. Show people `message`, and log `requestId`.
 */
export class Problem extends AuthServiceError {
    document;
    retryAfter;
    name = "Problem";
    code;
    status;
    requestId;
    constructor(document, retryAfter = null) {
        super(document.detail);
        this.document = document;
        this.retryAfter = retryAfter;
        this.code = document.code;
        this.status = document.status;
        this.requestId = document.request_id;
    }
}
