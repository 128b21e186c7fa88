/* What this program is called among its versions. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define HANSE_VERSION "0.1.0-dev"

#endif
