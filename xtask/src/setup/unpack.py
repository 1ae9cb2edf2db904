# Takes files out of a wheel: unpack.py WHEEL FOLDER PATTERN INTO [PATTERN INTO]...
# A pattern that ends in "/" takes the tree below it; any other takes matching files without their folders.
# zipfile checks every file's checksum. Exit code 28: the disk is full.
import errno, fnmatch, os, shutil, sys, zipfile

wheel, folder, rules = sys.argv[1], sys.argv[2], sys.argv[3:]
try:
    with zipfile.ZipFile(wheel) as source:
        files = [entry for entry in source.infolist() if not entry.is_dir()]
        for pattern, into in zip(rules[::2], rules[1::2]):
            found = 0
            for entry in files:
                if pattern.endswith("/") and entry.filename.startswith(pattern):
                    name = entry.filename[len(pattern):]
                elif fnmatch.fnmatchcase(entry.filename, pattern):
                    name = os.path.basename(entry.filename)
                else:
                    continue
                target = os.path.normpath(os.path.join(folder, into, name))
                if not target.startswith(os.path.normpath(folder) + os.sep):
                    sys.exit(f"{entry.filename} would leave the folder")
                if os.path.exists(target):
                    sys.exit(f"{os.path.join(into, name)} comes twice")
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with source.open(entry) as data, open(target, "wb") as out:
                    shutil.copyfileobj(data, out, 1 << 20)
                found += 1
            if not found:
                sys.exit(f"nothing in it matches {pattern}")
except OSError as error:
    print(error, file=sys.stderr)
    sys.exit(28 if error.errno in (errno.ENOSPC, errno.EDQUOT) else 1)
except zipfile.BadZipFile as error:
    sys.exit(str(error))
