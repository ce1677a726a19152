"""Exit 2: the command line, the configuration or the credentials ask for what is not there."""

from __future__ import annotations

from goaime_migrate.errors.base import MigrateError


class UsageError(MigrateError):
    """The command line asks for something that does not exist or cannot be combined.

    A command, an option or a value is not one that the tool knows, or two of them contradict each other.
    Nothing was changed.

    The last line of the message says what was probably meant. `goaime-migrate --help` lists the commands,
    and `goaime-migrate up --help` the options of one of them. Options come after the command.
    """

    code = "GM100"
    exit_code = 2


class InvalidConfiguration(UsageError):
    """The configuration cannot be understood: a key, a value or a variable.

    Settings come from one file, from variables GOAIME_MIGRATE_<KEY> and from flags, the later ones winning.
    The message names the key and where it stands: it is unknown or misspelt, its value has the wrong form,
    or it needs a ${VAR} that is not set. The database was not touched.

    Mend it where the message says. `goaime-migrate init` writes a file with which to begin, and any command
    with --verbose shows where each setting came from.
    """

    code = "GM101"


class InvalidUri(UsageError):
    """The connection string is neither a valid mongodb:// URI nor dump:PATH.

    Often a special character in the user name or the password is not percent-encoded: @ is written %40, :
    is %3A, / is %2F and % is %25. An option of it may be unknown, a file that it names unreadable, or it
    says what is not so: the name of another replica set, TLS where there is none, or directly a secondary.
    The message hides what may belong to a password.

    Correct uri in the configuration, or try another one: `goaime-migrate status --uri
    mongodb://HOST:27017/NAME`.
    """

    code = "GM102"


class AuthenticationFailed(UsageError):
    """The server answered, and refused the user name or the password.

    The address is right, but nobody can log in with this connection string. Besides a wrong password it may
    be the wrong database of users: authSource=admin, say, where the user was made in admin. Nothing was
    read or changed.

    Correct user, password or authSource in uri, then see whether `goaime-migrate status` can read.
    """

    code = "GM103"


class FolderMissing(UsageError):
    """The migrations folder, or the folder of the dump, does not exist.

    Neither is ever made by accident: a misspelt path would look like a project without migrations, or like
    an empty database. Relative paths count from the folder of the configuration file where they are written
    there, else from the working directory. Nothing was changed.

    Correct migrations or uri. `goaime-migrate init` makes the folder of a new project.
    """

    code = "GM104"


class DumpUnreadable(UsageError):
    """A file of the dump directory cannot be read, or is not what mongodump writes.

    It is cut short, is not BSON, is a link or a pipe, is named twice, may not be read, or is being written
    by another program just now. The message names the file, the byte up to which it is good, and the `_id`
    of a document that is damaged within. Nothing in the directory was changed.

    Restore the file from where it came, or dump the collection again with mongodump; then look with
    `goaime-migrate status`.
    """

    code = "GM105"


class PackageMissing(UsageError):
    """What was asked for needs a package that is not installed.

    Pages and traces are made with packages that most installations do without. Each is an extra of this
    one, so that its versions fit. Nothing was read or changed.

    Install it as the last line of the message has it, into the environment that the command runs in. Without
    it the same is there as text: `goaime-migrate history`.
    """

    code = "GM108"


class UnknownTarget(UsageError):
    """The target names no version, or more than one.

    A target is a version (0003 or 3), a part of a name that only one version has, head, base, or a number
    of steps (+2, -1). Nothing was changed.

    `goaime-migrate status` lists the versions; the number is never ambiguous.
    """

    code = "GM106"


class UnknownDocument(UsageError):
    """Neither the collection nor a journal knows a document with this `_id`, or `try` has found none.

    `try` looks in the collection alone, `blame` also in the journals of all passes that have written it,
    whatever it was called by then. The name of the collection or the type of the `_id` is another one, mostly: 7 is a
    number, "7" a string, and 24 hex digits are an ObjectId first. Or nothing that is kept has ever met it.

    `goaime-migrate blame COLLECTION ID` and `goaime-migrate try VERSION --id ID` take the `_id` in Extended
    JSON; a bare word is a string.
    """

    code = "GM107"
